"""Instances whose samples are followed by spin kernels that last a known share of them.

An operator with a spin kernel behind it is an operator that takes that much longer: both are timed
in the same sample, each between its own events, and added. So one sample stands for mocks of every
planted ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.measure.blocks import blocks, random_orders
from harness.measure.events import EventSample, sample_eager, sample_replays
from harness.measure.graph import capture
from harness.measure.hold import PROBES, Held, spin, spin_rate
from harness.measure.instance import Instance
from harness.measure.unroll import capture_lead
from ops.sides import Side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CALIBRATIONS = 4
CALIBRATION_BLOCKS = 12
LAUNCH_MS = 0.0015
"""About what an empty kernel takes between two events."""


@dataclass(frozen=True)
class StretchedSample(EventSample):
    """A sample of an operator, and of the spin kernels behind it.

    Attributes:
        spins: a sample of each spin kernel.
        log: milliseconds per call of each spin kernel, a row for each sample that was read.
    """

    spins: tuple[EventSample, ...] = ()
    log: list[tuple[float, ...]] = field(default_factory=list)

    def ms(self) -> float:
        """Milliseconds per call of the operator alone; the spin kernels' go to the log."""
        last = self.spins[-1].ms()
        self.log.append((*(each.ms() for each in self.spins[:-1]), last))
        return super().ms()


@dataclass(frozen=True)
class Stretched(Instance):
    """An instance with spin kernels behind each sample.

    Attributes:
        cycles: of each spin kernel; none for a reference.
        log: see `StretchedSample`.
    """

    cycles: tuple[int, ...] = ()
    log: list[tuple[float, ...]] = field(default_factory=list)

    def sample(self) -> EventSample:
        """See `Instance.sample`."""
        if self.graph is None:
            taken = sample_eager(self.side, self.calls)
        else:
            taken = EventSample(sample_replays(self.graph.replay, 1).pairs, self.calls)
        if not self.cycles:
            return taken
        spins = tuple(self._spin(cycles) for cycles in self.cycles)
        return StretchedSample(taken.pairs, self.calls, spins, self.log)

    def _spin(self, cycles: int) -> EventSample:
        return EventSample(sample_replays(lambda: spin(cycles), 1).pairs, self.calls)

    def stretches(self, count: int) -> NDArray[np.float64]:
        """Milliseconds per call of the spin kernels in the last samples [count, kernels]."""
        import numpy as np

        return np.asarray(self.log[-count:])


def stretched(label: str, side: Side, calls: int, *, graph: bool = True) -> Stretched:
    """An instance of ``calls`` calls to a sample, without spin kernels."""
    made = capture(side, calls=calls, topology=False) if graph else None
    lead = capture_lead(side, calls) if graph else None
    return Stretched(label, side, made, calls, lead)


def calibrated(instance: Stretched, shares: Sequence[float]) -> tuple[int, ...]:
    """Cycles of spin kernels that last these shares of a sample of ``instance``.

    Each round corrects the cycles by what the kernels lasted where they are used: behind samples.
    What they last in the end is measured with every sample.
    """
    rate = spin_rate() / 1000
    base = _typical(replace(instance, cycles=()))
    targets = [share * base for share in shares]
    cycles = [max(int((target - LAUNCH_MS) * rate), 1) for target in targets]
    for _ in range(CALIBRATIONS):
        spinning = replace(instance, cycles=tuple(cycles), log=[])
        base = _typical(spinning)
        lasted = [instance.calls * median(column) for column in zip(*spinning.log, strict=True)]
        wanted = [share * base for share in shares]
        cycles = [
            max(int(each + (target - now) * rate), 1)
            for each, target, now in zip(cycles, wanted, lasted, strict=True)
        ]
    return tuple(cycles)


def _typical(instance: Stretched) -> float:
    """Median milliseconds of a sample, taken as where instances are compared."""
    sampler: Any = instance.sample
    if instance.graph is None:
        sampler = Held(instance.sample, instance.lead_in, spin_rate())
    rows = list(blocks([sampler], islice(random_orders(1, 0), CALIBRATION_BLOCKS)))
    del instance.log[:PROBES]
    return instance.calls * median(row[0] for row in rows[PROBES:])
