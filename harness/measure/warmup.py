"""Call until the time of a call no longer changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from harness.measure.events import calls_per_sample

WINDOW = 5
"""Samples whose median is compared with that of the same number before them."""

CHANGE = 0.02
"""Convergence: the two medians differ by at most this fraction. Clocks move by 1 to 3 % within a
power state, so less would wait for noise."""

BLOCK_MS = 1.0
"""Length of a sample while warming up: enough that one interrupt is not 2 % of it."""


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up went.

    Attributes:
        calls: calls made.
        converged: False when a cap ended it.
        call_ms: median milliseconds per call over the last window.
    """

    calls: int
    converged: bool
    call_ms: float

    @property
    def end(self) -> str:
        """How it ended, in words."""
        return "converged" if self.converged else "NOT converged"


def warm_up(
    sample: Callable[[int], float],
    *,
    max_calls: int = 2000,
    min_seconds: float = 0.0,
    max_seconds: float = 3.0,
    clock: Callable[[], float] = time.monotonic,
) -> WarmUp:
    """Take samples until their median has converged, or a cap is reached.

    Args:
        sample: makes that many calls, waits for them, and returns milliseconds per call.
        max_calls: no sample starts after that many calls.
        min_seconds: it has not converged before: clocks need tens of milliseconds of load to rise,
            and windows of a millisecond see them as steady.
        max_seconds: no sample starts after that many seconds.
        clock: returns seconds.
    """
    samples: list[float] = []
    start, made, calls = clock(), 0, 1
    while not samples or (made < max_calls and clock() - start < max_seconds):
        samples.append(sample(calls))
        made += calls
        if clock() - start >= min_seconds and has_converged(samples):
            return WarmUp(made, True, median(samples[-WINDOW:]))
        calls = calls_per_sample(samples[-1], BLOCK_MS)
    return WarmUp(made, False, median(samples[-WINDOW:]))


def has_converged(samples: list[float]) -> bool:
    """Whether the last WINDOW samples have the median of the WINDOW before them."""
    if len(samples) < 2 * WINDOW:
        return False
    last, before = median(samples[-WINDOW:]), median(samples[-2 * WINDOW : -WINDOW])
    return abs(last - before) <= CHANGE * before
