"""Blocks around worker processes: what they benchmark is compared there and told to the parent.

A spawned worker starts with modules of its own, in which nothing is patched. While a block with
``patch=`` runs, each process that is started gets its target wrapped: in the child, a block with
the same arguments is opened around it.
"""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from harness.align.model import Alignment
from harness.errors import InputError
from harness.session.worker import Worker

NOT_WORKERS = ("multiprocessing.managers", "multiprocessing.resource", "torch.utils.data")
"""Modules whose processes serve and never benchmark."""


@dataclass(frozen=True)
class WorkerReport:
    """What came of one process that was started inside the block.

    Attributes:
        name: of the process.
        exit_code: as `multiprocessing.Process.exitcode`; None while it runs.
        results: one per benchmark call that was compared there.
        problem: what is missing, or empty.
    """

    name: str
    exit_code: int | None
    results: tuple[Alignment, ...]
    problem: str = ""


class Workers:
    """The processes that were started in a block.

    Args:
        settings: arguments of the `align_op` that the children open.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._started: list[tuple[BaseProcess, Path | None]] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Wrap the target of each process that is started while the block runs."""
        start = BaseProcess.start
        workers = self

        def started(process: BaseProcess) -> None:
            workers.wrap(process)
            start(process)

        BaseProcess.start = started  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            BaseProcess.start = start  # type: ignore[method-assign]

    def wrap(self, process: Any) -> None:
        """Make a process that has not started yet open a block of its own."""
        target = process._target
        if getattr(target, "__module__", "").startswith(NOT_WORKERS):
            return
        if target is None:  # a subclass with a run() of its own
            self._started.append((process, None))
            return
        if _start_method(process) != "fork":
            self._check_pickles()
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="harness-workers-")
        log = Path(self._folder.name) / f"{len(self._started)}"
        process._target = Worker(target, self._settings, log)
        self._started.append((process, log))

    def reports(self) -> list[WorkerReport]:
        """What the processes told, in the order in which they were started."""
        with self._folder or nullcontext():
            return [_report(process, log) for process, log in self._started]

    def _check_pickles(self) -> None:
        for name in ("case", "reference"):
            try:
                pickle.dumps(self._settings[name])
            except (pickle.PicklingError, AttributeError, TypeError) as error:
                raise InputError(
                    f"align_op({name}=...) cannot be sent to a worker process ({error})",
                    fix="define the function at the top level of a module",
                ) from error


def _start_method(process: Any) -> str:
    chosen = getattr(process, "_start_method", None)  # of a context's own class
    return str(chosen or multiprocessing.get_start_method())


def _report(process: BaseProcess, log: Path | None) -> WorkerReport:
    code = _exit_code(process)
    if log is None:
        text = "its class overrides run(), so that nothing of it was compared"
        return WorkerReport(process.name, code, (), text)
    events = list(_events(log))
    results = tuple(value for kind, value in events if kind == "result")
    calls = sum(kind == "call" for kind, _ in events)
    problem = ""
    failed, reason = next((value for kind, value in events if kind == "end"), (False, ""))
    if not reason:
        reason = f"it ended with exit code {code} before its block did"
    if not events:
        problem = f"it ended with exit code {code} before its target ran"
    elif calls > len(results):
        problem = (
            f"{calls - len(results)} of {calls} benchmark calls were not compared: {reason}; "
            "align_op(compare='each') compares each at once"
        )
    elif failed:
        problem = reason
    if _runs(process):
        problem = "it still ran when the block ended; join it inside the block"
    return WorkerReport(process.name, code, results, problem)


def _exit_code(process: BaseProcess) -> int | None:
    try:
        return process.exitcode
    except ValueError:  # it was closed, so it has ended
        return None


def _runs(process: BaseProcess) -> bool:
    try:
        return process.is_alive()
    except ValueError:
        return False


def _events(log: Path) -> Iterator[tuple[str, Any]]:
    if not log.exists():
        return
    with log.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except (EOFError, pickle.UnpicklingError):  # the last one may be cut short
                return
