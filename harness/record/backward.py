"""Backward passes: autograd launches them on threads of its own, for the thread that asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.regions import OpenRegion, open_regions
from harness.trace.schema import OUTSIDE

Array = npt.NDArray[Any]

AUTOGRAD_THREAD = "pt_autograd"
"""How torch names its autograd threads (torch/csrc/autograd/engine.cpp)."""


@dataclass
class Backward:
    """One run of the autograd engine.

    Attributes:
        regions: open regions of the thread that asked for it, outermost first; of a pass that an
            autograd thread began within another (reentrant checkpoints do), those of that one.
        start_ns, end_ns: on the recorder's clock; ``end_ns`` is None while it runs.
        thread: system id of the thread that asked for it.
    """

    regions: tuple[OpenRegion, ...]
    start_ns: int
    end_ns: int | None = None
    thread: int = 0

    @property
    def region(self) -> int:
        """Id of the innermost region; OUTSIDE for none."""
        return self.regions[-1].id if self.regions else OUTSIDE


@dataclass
class BackwardLog:
    """The backward passes of a recording.

    Attributes:
        passes: in the order in which they began.
        ambiguous: calls of autograd threads while passes of different regions ran.
    """

    passes: list[Backward] = field(default_factory=list)
    ambiguous: int = 0

    def running(self) -> tuple[OpenRegion, ...]:
        """Regions of the passes that run now; none where those differ, for it cannot be told
        which of them an autograd thread works for."""
        now = [one for one in list(self.passes) if one.end_ns is None]
        return now[-1].regions if len({one.region for one in now}) == 1 else ()

    def regions_of(self, threads: Array, times: Array, regions: Array) -> Array:
        """Put calls of autograd threads that are in no region into that of their backward pass.

        Args:
            threads, times, regions: of API calls, shape (n,): system thread id, start in ns, region
                id so far.

        Returns:
            The regions to use; where passes of different regions overlap, those given.
        """
        if not any(one.regions for one in self.passes):
            return regions
        loose = (regions == OUTSIDE) & np.isin(threads, list(autograd_threads()))
        rows = np.flatnonzero(loose)
        rows = rows[np.argsort(times[rows], kind="stable")]
        when = times[rows].astype(np.int64)
        found = np.full(len(rows), _NONE, np.int64)
        unclear = np.zeros(len(rows), np.bool_)
        for one in self.passes:
            mine = _during(one, when)
            unclear[mine] |= (found[mine] != _NONE) & (found[mine] != one.region)
            found[mine] = one.region
        self.ambiguous += int(unclear.sum())
        chosen = (found != _NONE) & ~unclear
        refined = regions.copy()
        refined[rows[chosen]] = found[chosen]
        return refined


_NONE = -1
"""No region has this id."""


def _during(one: Backward, times: Array) -> slice:
    end = np.iinfo(np.int64).max if one.end_ns is None else one.end_ns
    return slice(int(np.searchsorted(times, one.start_ns)), int(np.searchsorted(times, end)))


def autograd_threads() -> set[int]:
    """System ids of this process's autograd threads."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text()
        except OSError:  # the thread has ended since
            continue
        if name.startswith(AUTOGRAD_THREAD):
            found.add(int(task.name))
    return found


def on_autograd_thread() -> bool:
    """Whether this thread is one of autograd's."""
    if not hasattr(_here, "of_autograd"):
        name = Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text()
        _here.of_autograd = name.startswith(AUTOGRAD_THREAD)
    found: bool = _here.of_autograd
    return found


_here = threading.local()
_original: Any = None
"""The engine itself, while `watch_backward` stands in its place."""


@contextmanager
def watch_backward(clock: Callable[[], int]) -> Iterator[BackwardLog]:
    """Note every backward pass while the block runs; blocks may nest.

    The Python entrance of the autograd engine is replaced meanwhile: `Tensor.backward`,
    `torch.autograd.grad` and the like all go through it.

    Args:
        clock: returns ns on the recorder's clock.
    """
    global _original
    from torch.autograd import Variable

    log = BackwardLog()
    holder: Any = Variable
    before = holder._execution_engine
    if _original is None:
        _original = before
    holder._execution_engine = _Engine(before, log, clock)
    try:
        yield log
    finally:
        holder._execution_engine = before
        if before is _original:
            _original = None


def _put_back() -> None:
    """In a fork, where the recording is the parent's."""
    global _original
    if _original is not None:
        from torch.autograd import Variable

        holder: Any = Variable
        holder._execution_engine, _original = _original, None


os.register_at_fork(after_in_child=_put_back)


class _Engine:
    """The autograd engine, with a note of when it runs."""

    def __init__(self, engine: Any, log: BackwardLog, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._log = log
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def run_backward(self, *arguments: Any, **keywords: Any) -> Any:
        """As `torch._C._EngineBase.run_backward`."""
        regions = open_regions()
        if not regions and on_autograd_thread():
            regions = self._log.running()
        one = Backward(regions, self._clock(), thread=threading.get_native_id())
        self._log.passes.append(one)
        try:
            return self._engine.run_backward(*arguments, **keywords)
        finally:
            one.end_ns = self._clock()
