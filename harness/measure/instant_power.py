"""POWER_INSTANT: integrated where there is no energy counter, and as a trace over time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from harness.measure.sampler import Sampler, sampler
from harness.measure.ticks import CounterError, Window

if TYPE_CHECKING:
    import torch

SETTLE_S = 0.2
"""Readings move about every 100 ms: the first two may be from before the work."""

PERIOD_S = 0.02
"""Between two readings of a trace: a fifth of the time that a reading stays the same."""

_FIX = "use a whole data-centre GPU"


def integrate_power(
    read_w: Callable[[], float | None],
    keep_busy: Callable[[], None],
    min_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Window:
    """Poll instant power and integrate it over time (trapezoids between polls).

    The quantisation error is what one reading at either end could be off by: a reading stays the
    same for ``tick_s``, during which power may have been anything between the extremes seen.

    Args:
        read_w: W, or None where the card does not tell.
        keep_busy: called between polls; enqueues work.
        min_seconds: least length.
        clock: returns seconds.

    Raises:
        CounterError: the card tells no power, or no power above 0.
    """
    from scipy.integrate import trapezoid

    times, watts = _polled(read_w, keep_busy, min_seconds, clock)
    joules = float(trapezoid(watts, times))
    if joules <= 0:
        raise CounterError("the card's instant power reads 0 W", fix=_FIX)
    moved = [times[at] for at in range(1, len(times)) if watts[at] != watts[at - 1]]
    gaps = [later - one for one, later in pairwise(moved)]
    seconds = times[-1] - times[0]
    tick_s = statistics.median(gaps) if gaps else seconds
    error = tick_s * (max(watts) - min(watts)) / joules
    return Window(joules, times[0], times[-1], len(moved), tick_s, error)


def _polled(
    read_w: Callable[[], float | None],
    keep_busy: Callable[[], None],
    min_seconds: float,
    clock: Callable[[], float],
) -> tuple[list[float], list[float]]:
    times, watts = list[float](), list[float]()
    begun = clock()
    while len(times) < 2 or times[-1] - times[0] < min_seconds:
        keep_busy()
        before = clock()
        reading = read_w()
        now = clock()
        if reading is None:
            raise CounterError("the card does not tell its instant power either", fix=_FIX)
        if now - begun >= SETTLE_S:
            times.append((before + now) / 2)
            watts.append(reading)
    return times, watts


@dataclass
class PowerTrace:
    """Instant power over time, filled when the block that recorded it ends.

    Attributes:
        times_s: seconds of ``time.monotonic``, which all processes of a machine share on Linux.
        watts: power at each, in W; it stays the same for about 100 ms.
        period_s: least time between two readings. It doubles, and every second reading is dropped,
            whenever the memory for readings is full.
    """

    times_s: list[float] = field(default_factory=list)
    watts: list[float] = field(default_factory=list)
    period_s: float = PERIOD_S

    def plain(self, origin_s: float) -> dict[str, Any]:
        """As JSON: ``time_s`` since ``origin_s``, ``power_w``, ``period_s``."""
        since = [round(at - origin_s, 6) for at in self.times_s]
        return {"time_s": since, "power_w": self.watts, "period_s": self.period_s}


@contextmanager
def trace_power(
    device: torch.device | str | int | None = None, *, period_s: float = PERIOD_S
) -> Iterator[PowerTrace]:
    """Sample the card's instant power from another process while the block runs.

    Raises:
        SamplerError: the card tells no instant power, or the process failed.
    """
    from harness.measure.nvml import device_uuid

    trace = PowerTrace(period_s=period_s)
    child: Sampler = sampler(device_uuid(device), "power")
    child.begin(period_s)
    try:
        yield trace
    finally:
        found = child.end()
        trace.times_s, trace.watts = found["times_s"], found["watts"]
        trace.period_s = found["period_s"]
