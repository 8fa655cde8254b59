"""Lanes for slices that overlap.

A viewer shows one row per (pid, tid), on which slices may nest but not cross (Trace Event Format,
"Duration Events"). Slices that would cross go to further rows of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.analyze.selection import Ints


def flat_lanes(starts: Ints, ends: Ints) -> npt.NDArray[np.int32]:
    """The lowest lane for each interval so that none overlap on a lane.

    Args:
        starts, ends: ns, shape (n,), in the order of the starts.
    """
    lanes = np.zeros(len(starts), np.int32)
    reached = np.maximum.accumulate(ends) if len(ends) else ends
    if not len(starts) or bool((starts[1:] >= reached[:-1]).all()):
        return lanes
    free: list[int] = []
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        lane = next((number for number, time in enumerate(free) if time <= start), len(free))
        if lane == len(free):
            free.append(end)
        free[lane] = end
        lanes[row] = lane
    return lanes


def nested_lanes(starts: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The lowest lane for each interval so that those on a lane nest or lie apart.

    Args:
        starts, ends: ns; in the order of the starts, of equal ones the longest first.
    """
    stacks: list[list[int]] = []
    return [_push(stacks, start, end) for start, end in zip(starts, ends, strict=True)]


def _push(stacks: list[list[int]], start: int, end: int) -> int:
    for lane, stack in enumerate(stacks):
        while stack and stack[-1] <= start:
            stack.pop()
        if not stack or end <= stack[-1]:
            stack.append(end)
            return lane
    stacks.append([end])
    return len(stacks) - 1


def in_lane(name: str, lane: int) -> str:
    """The name of a row; the first lane has the plain one."""
    return name if not lane else f"{name} ({lane + 1})"
