"""Unions of intervals of time, as NumPy arrays: lengths, gaps, intersections.

Times are int64 in ns. An interval holds its start and not its end, so two that touch are one, and
one that does not end after it starts holds nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Intervals(NamedTuple):
    """Disjoint intervals that do not touch, in the order of time.

    Attributes:
        starts, ends: ns, shape (n,).
    """

    starts: Ints
    ends: Ints

    @property
    def length_ns(self) -> int:
        """How much time they cover together."""
        return int((self.ends - self.starts).sum())


def merged(starts: Any, ends: Any) -> Intervals:
    """The union of intervals that may overlap and come in any order.

    Args:
        starts, ends: ns, shape (n,); best sorted by start, which saves the sorting. Not changed.
    """
    starts, ends = _in_order(*_filled(starts, ends))
    if not len(starts):
        return Intervals(starts, ends)
    reached = np.maximum.accumulate(ends)
    apart = starts[1:] > reached[:-1]
    if apart.all():
        return Intervals(starts, ends)
    return Intervals(
        np.concatenate([starts[:1], starts[1:][apart]]),
        np.concatenate([reached[:-1][apart], reached[-1:]]),
    )


def union_ns(starts: Any, ends: Any) -> int:
    """How much time at least one of the intervals covers, in ns; arguments as for `merged`."""
    return merged(starts, ends).length_ns


def gaps_between(union: Intervals) -> Intervals:
    """The time between neighbours of a union: what is idle from its start to its end."""
    return Intervals(union.ends[:-1], union.starts[1:])


def intersection(first: Intervals, second: Intervals) -> Intervals:
    """The time that both unions cover."""
    begins = np.concatenate([first.starts, second.starts])
    finishes = np.concatenate([first.ends, second.ends])
    times = np.concatenate([finishes, begins])
    # A stable sort leaves ends before starts of the same time: what only touches is not shared.
    order = np.argsort(times, kind="stable")
    depth = np.cumsum(np.where(order < len(finishes), -1, 1))
    both = np.flatnonzero(depth == 2)
    times = times[order]
    return Intervals(times[both], times[both + 1])


def intersection_ns(first: Intervals, second: Intervals) -> int:
    """How much time both unions cover, in ns."""
    return intersection(first, second).length_ns


def clip(starts: Any, ends: Any, low: int, high: int) -> tuple[Ints, Ints]:
    """The parts of intervals that lie in [low, high), ns; those without one are left out."""
    return _filled(np.maximum(_ints(starts), low), np.minimum(_ints(ends), high))


def covered_before(union: Intervals, times: Any) -> Ints:
    """How much of a union lies before each time, in ns.

    The difference at the two ends of a window is how much of the window is covered.

    Args:
        times: ns, of any shape and order.
    """
    times = _ints(times)
    if not len(union.starts):
        return np.zeros(times.shape, np.int64)
    lengths: Ints = np.zeros(len(union.starts) + 1, np.int64)
    np.cumsum(union.ends - union.starts, out=lengths[1:])
    begun = np.searchsorted(union.starts, times, side="right")
    to_come: Ints = np.maximum(union.ends[np.maximum(begun - 1, 0)] - times, 0)
    to_come[begun == 0] = 0
    covered: Ints = lengths[begun] - to_come
    return covered


def _ints(values: Any) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _filled(starts: Any, ends: Any) -> tuple[Ints, Ints]:
    """Without the intervals that hold nothing."""
    starts, ends = _ints(starts), _ints(ends)
    filled = ends > starts
    return (starts, ends) if filled.all() else (starts[filled], ends[filled])


def _in_order(starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    if (starts[1:] >= starts[:-1]).all():
        return starts, ends
    order = np.argsort(starts, kind="stable")
    return starts[order], ends[order]
