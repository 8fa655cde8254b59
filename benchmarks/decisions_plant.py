"""Instances that take a known share longer: by more calls, or by a calibrated spin kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from harness.measure.events import EventSample, sample_eager, sample_replay, sample_replays
from harness.measure.graph import capture
from harness.measure.hold import PROBES, Held, spin_rate
from harness.measure.instance import Instance
from harness.measure.unroll import capture_lead
from ops.sides import Side

CALIBRATION_MS = 250.0
"""Spent on each figure of the calibration, in samples of at least 15 pairs."""

CYCLES_PER_MS = 1.8e6
"""A first guess of the SM clock; the calibration measures."""


@dataclass(frozen=True)
class Planted(Instance):
    """An instance whose samples last longer by a known share.

    Attributes:
        counted: calls that a sample is divided by; fewer than `calls` plants a ratio.
        spin: clock cycles of a spin kernel inside the events of each sample, 0 for none.
    """

    counted: int = 1
    spin: int = 0

    def sample(self) -> EventSample:
        """See `Instance.sample`."""
        if self.graph is None:
            calls = sample_eager(self.side, self.calls).pairs
            spins = sample_replays(self._spin, 1).pairs if self.spin else ()
            return EventSample((*calls, *spins), self.counted)
        if self.spin:
            return sample_replay(self._replay_and_spin, self.counted)
        return sample_replay(self.graph.replay, self.counted)

    def _replay_and_spin(self) -> None:
        assert self.graph is not None
        self.graph.replay()
        self._spin()

    def _spin(self) -> None:
        import torch

        torch.cuda._sleep(self.spin)


def calls_that_plant(share: float, calls: int) -> tuple[int, int]:
    """Calls that are counted, and calls more, that make a sample longer by about ``share``.

    Args:
        share: to plant, such as 0.015, which is one call in 67; 0 plants nothing.
        calls: at least so many are counted.
    """
    if not share:
        return calls, 0
    more = max(1, round(calls * share))
    return round(more / share), more


def planted(label: str, side: Side, calls: int, *, more: int = 0, graph: bool = True) -> Planted:
    """An instance of ``calls`` calls to a sample, and ``more`` that are not counted."""
    made = capture(side, calls=calls + more, topology=False) if graph else None
    lead = capture_lead(side, calls) if graph else None
    return Planted(label, side, made, calls + more, lead, counted=calls)


@dataclass(frozen=True)
class Spin:
    """A calibrated spin kernel.

    Attributes:
        cycles: for `Planted.spin`.
        share: what it adds to a sample, measured, as a fraction.
    """

    cycles: int
    share: float


def calibrated(instance: Planted, share: float) -> Spin:
    """A spin kernel that makes samples of ``instance`` longer by about ``share``.

    Its time is a line over its cycles, found from two guesses; what the result adds is measured
    beside samples without it.
    """
    sample = sampler_of(instance)
    for _ in range(5):
        sample().ms()
    base = median(sample().ms() for _ in range(15)) * instance.counted
    target = share * base
    one = max(int(target * CYCLES_PER_MS), 100)
    added_by_one = _added(instance, one, base)
    other = max(int(one * target / max(added_by_one, target / 10)), 50)
    if abs(other - one) < 0.05 * one:
        other = int(1.1 * one)
    added_by_other = _added(instance, other, base)
    slope = (added_by_other - added_by_one) / (other - one)
    cycles = max(int(one + (target - added_by_one) / max(slope, 1e-9)), 1)
    return Spin(cycles, _added(instance, cycles, base) / base)


def sampler_of(instance: Planted) -> Callable[[], EventSample]:
    """Samples as where they are compared: eager ones while the card is held."""
    return instance.sample if instance.graph else Held(instance.sample, None, spin_rate())


def _added(instance: Planted, cycles: int, base_ms: float) -> float:
    """Milliseconds that a spin kernel adds to a sample, median over pairs next to each other."""
    sample, sample_longer = sampler_of(instance), sampler_of(replace(instance, spin=cycles))
    for _ in range(PROBES):  # eager samplers learn how long the host takes
        sample().ms(), sample_longer().ms()
    differences = []
    for _ in range(max(15, int(CALIBRATION_MS / (2 * base_ms)))):
        plain, longer = sample(), sample_longer()
        differences.append((longer.ms() - plain.ms()) * instance.counted)
    return median(differences)
