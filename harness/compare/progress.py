"""A progress bar on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from harness.compare.options import Stage, quiet

STAGES_PER_CASE = 8
"""building, numerics, data flow, timing, recording three times, building again or judging."""


@contextmanager
def progress(cases: int, *, shown: bool = True) -> Iterator[Stage]:
    """Yield a stage function that moves a bar on stderr; a quiet one when that is no terminal."""
    if not shown or not sys.stderr.isatty():
        yield quiet
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=cases * STAGES_PER_CASE)

        @contextmanager
        def stage(text: str) -> Iterator[None]:
            bar.update(task, description=text)
            yield
            bar.advance(task)

        yield stage
