"""Prefill or decode, warm-up or steady: what kind of step a step is."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

PREFILL, DECODE, MIXED, UNKNOWN = "prefill", "decode", "mixed", "unknown"

CONTRAST = 3.0
"""A prefill has to have so many times the kernel time of a decode to be told from it. Both read all
weights once; what a prefill adds grows with its tokens."""

TOLERANCE = 0.1
"""A step is steady from within this share of the usual wall on. Replays of one graph on an H200
vary by 2 %, the first steps of a process by factors."""

_FEWEST = 4

_PREFILL = re.compile(r"prefill|context|prompt", re.IGNORECASE)
_DECODE = re.compile(r"decode|generation", re.IGNORECASE)
_COUNTS = re.compile(r"context_(\d+).*generation_(\d+)")


def phase_of_names(names: Sequence[str]) -> str:
    """The phase that names of ranges tell, innermost first: the first name that tells one.

    Names with ``prefill``, ``context`` or ``prompt`` are of a prefill, with ``decode`` or
    ``generation`` of a decode. In vLLM's ``execute_context_1(888)_generation_0(0)`` the numbers
    decide.
    """
    for name in names:
        counts = _COUNTS.search(name)
        if counts:
            prefills, decodes = int(counts[1]) > 0, int(counts[2]) > 0
        else:
            prefills, decodes = bool(_PREFILL.search(name)), bool(_DECODE.search(name))
        if prefills or decodes:
            return MIXED if prefills and decodes else PREFILL if prefills else DECODE
    return UNKNOWN


def phases_by_time(kernel_ns: Ints) -> list[str]:
    """The phases that kernel time per step tells, in the order of the steps.

    The steps, sorted by kernel time, are cut at the largest ratio of neighbours. Where it is at
    least `CONTRAST` and each side varies by less than that ratio, the long ones are prefills and
    the short ones decodes; otherwise all are unknown.
    """
    unknown = [UNKNOWN] * len(kernel_ns)
    if len(kernel_ns) < 2 or kernel_ns.min() <= 0:
        return unknown
    ordered = np.sort(kernel_ns)
    ratios = ordered[1:] / ordered[:-1]
    cut = int(np.argmax(ratios))
    short, long = ordered[: cut + 1], ordered[cut + 1 :]
    spread = max(short[-1] / short[0], long[-1] / long[0])
    if ratios[cut] < CONTRAST or spread >= ratios[cut]:
        return unknown
    return [PREFILL if time >= long[0] else DECODE for time in kernel_ns.tolist()]


def warm_ups(wall_ns: Ints, kernels: Ints) -> int | None:
    """How many of the first steps of one phase are warm-up; None where it cannot be told.

    Usual are the medians of wall and of kernels over the second half of the steps. The steady
    state begins with the first step that is within `TOLERANCE` of the usual wall, or quicker, and
    has the usual number of kernels. Fewer than four steps tell nothing.
    """
    if len(wall_ns) < _FEWEST:
        return None
    half = len(wall_ns) // 2
    usual, count = np.median(wall_ns[half:]), np.median(kernels[half:])
    steady = (wall_ns <= usual * (1 + TOLERANCE)) & (kernels == count)
    return int(np.argmax(steady)) if steady.any() else None
