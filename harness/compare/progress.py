"""A progress bar on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from harness.compare.options import Stage, quiet


@contextmanager
def progress() -> Iterator[Stage]:
    """Yield a stage function that names what runs on stderr; quiet when that is no terminal.

    The bar pulses: how long a stage takes is known only when it is over.
    """
    if not sys.stderr.isatty():
        yield quiet
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("starting", total=None)

        @contextmanager
        def stage(text: str) -> Iterator[None]:
            bar.update(task, description=text)
            yield

        yield stage
