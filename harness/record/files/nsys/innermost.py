"""Which range of a thread is the innermost at a time: for whole columns, without a step per row.

The rule is that of `harness.record.cupti.markers`: the innermost range is the one begun last of
those that are open, and the parent of a range is the last one begun before it on its thread that
does not end before it does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.trace.schema import OUTSIDE

Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]

OPEN = np.iinfo(np.int64).max
"""End of a range that was still open."""

_NONE = -1


class Ranges:
    """Ranges of threads; all arrays are of shape (n,).

    Args:
        ids: of the regions, any order.
        threads: ``globalTid`` of each.
        starts, ends: in ns; a range is open from its start until just before its end.
    """

    def __init__(self, ids: Ids, threads: Ids, starts: Ids, ends: Ids) -> None:
        # Of equal starts the longer one is around the other.
        order = np.lexsort((ids, -ends, starts, threads))
        self._ids, self._threads = ids[order], threads[order]
        self._starts, self._ends = starts[order], ends[order]
        self._around = self._enclosing()

    def _enclosing(self) -> Ids:
        """For each, the place of the last one before it on its thread that ends no earlier."""
        places = np.arange(len(self._ids))
        around = places - 1
        if len(around):
            first = np.r_[True, self._threads[1:] != self._threads[:-1]]
            around[first] = _NONE
        # What lies between a range and the one it points to ends before it does; so whatever ends
        # too early can be skipped together with what it has skipped itself.
        todo = np.flatnonzero(around != _NONE)
        while len(todo):
            todo = todo[self._ends[around[todo]] < self._ends[todo]]
            around[todo] = around[around[todo]]
            todo = todo[around[todo] != _NONE]
        return around

    def parents(self) -> tuple[Ids, Ids]:
        """Ids, and the id of the range around each; -1 where there is none."""
        return self._ids, np.where(self._around == _NONE, _NONE, self._ids[self._around])

    def at(self, threads: Array, times: Array) -> Ids:
        """Id of the innermost range on each thread at each time; OUTSIDE where none is open."""
        if not len(self._ids):
            return np.full(len(threads), OUTSIDE, np.int64)
        cuts = np.flatnonzero(np.r_[True, self._threads[1:] != self._threads[:-1], True]).tolist()
        found: Ids | None = None
        for first, after in pairwise(cuts):
            mine = threads == self._threads[first]
            if mine.all():
                return self._of_thread(first, after, times)
            if mine.any():
                found = np.full(len(threads), OUTSIDE, np.int64) if found is None else found
                found[mine] = self._of_thread(first, after, times[mine])
        return np.full(len(threads), OUTSIDE, np.int64) if found is None else found

    def _of_thread(self, first: int, after: int, times: Array) -> Ids:
        at = np.searchsorted(self._starts[first:after], times, side="right") + (first - 1)
        at[at < first] = _NONE
        closed = np.flatnonzero(at != _NONE)
        while len(closed):
            closed = closed[self._ends[at[closed]] <= times[closed]]
            at[closed] = self._around[at[closed]]
            closed = closed[at[closed] != _NONE]
        return np.where(at == _NONE, OUTSIDE, self._ids[at])
