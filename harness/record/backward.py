"""Backward passes: autograd launches them on threads of its own, for the thread that asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
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
        regions: open regions of the thread that asked for it, outermost first.
        start_ns, end_ns: on the recorder's clock; ``end_ns`` is None while it runs.
    """

    regions: tuple[OpenRegion, ...]
    start_ns: int
    end_ns: int | None = None


@dataclass
class BackwardLog:
    """The backward passes of a recording."""

    passes: list[Backward] = field(default_factory=list)

    def running(self) -> tuple[OpenRegion, ...]:
        """Regions of the one pass that runs now; none where several run, for it cannot be told
        which of them an autograd thread works for."""
        now = [one for one in list(self.passes) if one.end_ns is None]
        return now[0].regions if len(now) == 1 else ()

    def regions_of(self, threads: Array, times: Array, regions: Array) -> Array:
        """Put calls of autograd threads that are in no region into that of their backward pass.

        Args:
            threads, times, regions: of API calls, shape (n,): system thread id, start in ns, region
                id so far.

        Returns:
            The regions to use; where passes of different regions overlap, those given.
        """
        mine = [one for one in self.passes if one.regions]
        if not mine:
            return regions
        open_calls = (regions == OUTSIDE) & np.isin(threads, list(autograd_threads()))
        return _assigned(mine, self.passes, np.flatnonzero(open_calls), times, regions)


def _assigned(
    mine: Collection[Backward], every: Collection[Backward], rows: Array, times: Array, given: Array
) -> Array:
    rows = rows[np.argsort(times[rows], kind="stable")]
    when = times[rows].astype(np.int64)
    covered = np.zeros(len(rows), np.int64)
    for one in every:
        covered[_during(one, when)] += 1
    regions = given.copy()
    for one in mine:
        found = rows[_during(one, when)]
        regions[found[covered[_during(one, when)] == 1]] = one.regions[-1].id
    return regions


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


_replaced: Any = None
"""The engine itself, while `watch_backward` stands in its place."""


@contextmanager
def watch_backward(clock: Callable[[], int]) -> Iterator[BackwardLog]:
    """Note every backward pass while the block runs; blocks may not nest.

    The Python entrance of the autograd engine is replaced meanwhile: `Tensor.backward`,
    `torch.autograd.grad` and the like all go through it.

    Args:
        clock: returns ns on the recorder's clock.
    """
    global _replaced
    from torch.autograd import Variable

    log = BackwardLog()
    holder: Any = Variable
    _replaced = holder._execution_engine
    holder._execution_engine = _Engine(_replaced, log, clock)
    try:
        yield log
    finally:
        _put_back()


def _put_back() -> None:
    """Also in a fork, where the recording is the parent's."""
    global _replaced
    if _replaced is not None:
        from torch.autograd import Variable

        holder: Any = Variable
        holder._execution_engine, _replaced = _replaced, None


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
        one = Backward(open_regions(), self._clock())
        self._log.passes.append(one)
        try:
            return self._engine.run_backward(*arguments, **keywords)
        finally:
            one.end_ns = self._clock()
