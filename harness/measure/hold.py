"""Keep the card waiting until the host has enqueued a sample of eager calls.

Without it a short operator is timed at the host's pace: an addition of 5.6 us took 10.7 us a call
on an H200, with six times the noise. A sample that waits for the card itself is not helped, and
not harmed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.measure.events import EventSample

MARGIN = 1.4
"""Times the host's own time: what it needs at most, as far as one knows."""

MOST_HOLD_S = 0.05
PROBES = 2
"""Samples that are enqueued without a hold, to see how long the host takes."""

CALIBRATION_CYCLES = 2_000_000


class Held:
    """A sampler of eager calls behind a spinning kernel that lasts as long as enqueueing them.

    Args:
        sample: enqueues a sample.
        before: run first, untimed.
        cycles_per_s: of the spinning kernel, see `spin_rate`.
        clock: the host's, in seconds.
    """

    def __init__(
        self,
        sample: Callable[[], EventSample],
        before: Callable[[], object] | None,
        cycles_per_s: float,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sample, self._before = sample, before
        self._rate, self._clock = cycles_per_s, clock
        self._seen: list[float] = []

    @property
    def hold_s(self) -> float:
        """Seconds that the card is held; 0 while the host's time is not known."""
        if len(self._seen) < PROBES:
            return 0.0
        return min(MARGIN * min(self._seen), MOST_HOLD_S)

    def __call__(self) -> EventSample:
        """Enqueue a sample."""
        if self._before:
            self._before()
        if len(self._seen) >= PROBES:
            spin(int(self.hold_s * self._rate))
            return self._sample()
        start = self._clock()
        taken = self._sample()
        self._seen.append(self._clock() - start)
        return taken


def spin(cycles: int) -> None:
    """Enqueue a kernel of one thread that only waits for so many cycles of the SM clock."""
    import torch

    torch.cuda._sleep(max(cycles, 1))


def spin_rate() -> float:
    """Cycles of `spin` in a second on the current CUDA device, measured."""
    import torch

    spin(CALIBRATION_CYCLES)  # clocks rise, and the kernel is loaded
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    spin(CALIBRATION_CYCLES)
    end.record()
    end.synchronize()
    return CALIBRATION_CYCLES / (float(start.elapsed_time(end)) / 1000)
