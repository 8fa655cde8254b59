"""Results of measuring: samples, a paired ratio, the shape of a graph, the state of the card."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """Latency samples of one side, never taken while tracing.

    Attributes:
        label: mock or reference.
        samples_ms: one figure per sample, in milliseconds per call.
        calls_per_sample: calls between the two events of one sample; in a graph, unrolled in it.
        mode: ``graph`` (replays) or ``eager``.
        clock: ``cuda-event`` or ``host`` (CPU).
        instances: how many instances of the side were timed; sample i is of instance
            ``i % instances``.
    """

    label: str
    samples_ms: tuple[float, ...]
    calls_per_sample: int
    mode: str
    clock: str = "cuda-event"
    instances: int = 1

    @property
    def median_ms(self) -> float:
        """Median of the samples, in milliseconds per call."""
        return statistics.median(self.samples_ms)


@dataclass(frozen=True)
class NoiseFloor:
    """The reference against a second instance of itself, in the same run (A/A).

    Attributes:
        ratio: second instance / first.
        ci95: 95 % interval by the noise of the samples.
        what: what the second instance is.
    """

    ratio: float
    ci95: tuple[float, float]
    what: str


@dataclass(frozen=True)
class PairedMeasurement:
    """Two sides measured side by side.

    Attributes:
        mock, reference: sample i of one was taken next to sample i of the other.
        ratio: mock / reference of the typical call.
        ci95: 95 % interval of the ratio.
        method: how the interval was computed, one phrase.
        notes: what happened on the way (warm-up, fallback to eager and why, drift, outliers).
        decision: ``inside``, ``outside`` or ``undecided`` against 1 +- tolerance; empty where
            nothing was decided while measuring.
        undecided_because: why undecided.
        floor: A/A noise floor, where it was measured.
        cache: ``warm`` or ``cold``.
        cache_state: how that was made sure.
        gap_share: share of a sample that is the launch of the graph and not the operator; None
            where a sample is one call.
        blocks: randomised blocks; each holds one sample of every instance.
        looks: times that the interval was looked at.
        seconds: capture, warm-up and sampling; building the sides is not in it.
        drift: how far the ratio moved from the first block to the last, as a fraction.
        slow_samples: share of slow outliers of the mock and of the reference.
        levels: distance of two levels of times of the mock and of the reference, as a fraction;
            0 with one level.
    """

    mock: Measurement
    reference: Measurement
    ratio: float
    ci95: tuple[float, float]
    method: str
    notes: tuple[str, ...] = ()
    decision: str = ""
    undecided_because: str = ""
    floor: NoiseFloor | None = None
    cache: str = "warm"
    cache_state: str = ""
    gap_share: float | None = None
    blocks: int = 0
    looks: int = 0
    seconds: float = 0.0
    drift: float = 0.0
    slow_samples: tuple[float, float] = (0.0, 0.0)
    levels: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class GraphTopology:
    """What a CUDA graph consists of.

    Attributes:
        nodes: (type, name) per node in creation order; type is ``kernel``, ``memcpy``,
            ``memset``, ``event_record``, ..., name is the mangled kernel name or empty.
        edges: (from, to) node positions.
    """

    nodes: tuple[tuple[str, str], ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def branches(self) -> int:
        """How many nodes start a branch: roots, plus successors of a node beyond its first."""
        out: dict[int, int] = {}
        targets = set()
        for source, target in self.edges:
            out[source] = out.get(source, 0) + 1
            targets.add(target)
        roots = len(self.nodes) - len(targets)
        return roots + sum(count - 1 for count in out.values())


@dataclass(frozen=True)
class Conditions:
    """State of the card and of this process around a measurement.

    Attributes:
        before, after: NVML readings (clocks in MHz, temperature in degrees Celsius, power limit
            in W, clock event reasons as text, counters that only grow: `harness.measure.nvml.Nvml`
            ``snapshot`` and ``counters``); empty without NVML.
        traced_before: whether this process had enabled tracing before it timed.
        residual: what tracing left behind, by figure name (units in the name), where measured.
        unavailable: why readings are missing; empty when they are there.
        during: what another process saw in between, as `harness.measure.sampling.CardKeeper` sums
            it up; empty when it was not sampled.
        unsampled: why it was not, if it should have been.
    """

    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    traced_before: bool = False
    residual: Mapping[str, float] = field(default_factory=dict)
    unavailable: str = ""
    during: Mapping[str, Any] = field(default_factory=dict)
    unsampled: str = ""


@dataclass(frozen=True)
class Numerics:
    """Outputs of both sides compared.

    Attributes:
        max_abs: largest absolute difference.
        rel_l2: ||mock - reference|| / ||reference||.
        bitwise: every element is equal.
        rtol, atol: tolerance per element (see `harness.measure.numerics.compare_outputs`).
        noise: largest absolute difference between repeated calls of the reference; 0.0 when it is
            deterministic.
        reproducible: the reference's repeats are close enough to compare anything with them.
        mismatched: share of elements beyond the tolerance, 0 to 1.
        finite: all elements of the mock's output are finite (the reference's have to be).
        elements: number of elements compared.
        where: device and token count, and what was reduced.
        problem: why the outputs could not be compared ("shapes differ: ..."); then the figures
            are NaN.
    """

    max_abs: float
    rel_l2: float
    bitwise: bool
    rtol: float
    atol: float
    mismatched: float
    finite: bool
    elements: int
    where: str
    noise: float = 0.0
    reproducible: bool = True
    problem: str = ""
