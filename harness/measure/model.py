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
        calls_per_sample: calls between the two events of one sample.
        mode: ``graph`` (replays) or ``eager``.
        clock: ``cuda-event`` or ``host`` (CPU).
    """

    label: str
    samples_ms: tuple[float, ...]
    calls_per_sample: int
    mode: str
    clock: str = "cuda-event"

    @property
    def median_ms(self) -> float:
        """Median of the samples, in milliseconds per call."""
        return statistics.median(self.samples_ms)


@dataclass(frozen=True)
class PairedMeasurement:
    """Two sides measured side by side.

    Attributes:
        mock, reference: sample i of one was taken next to sample i of the other.
        ratio: median of mock / reference over the pairs.
        ci95: 95 % interval of that median.
        method: how the interval was computed, one phrase.
        notes: what happened on the way (warm-up calls, fallback to eager and why).
    """

    mock: Measurement
    reference: Measurement
    ratio: float
    ci95: tuple[float, float]
    method: str
    notes: tuple[str, ...] = ()


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
            in W, clock event reasons as text); empty without NVML.
        traced_before: whether this process had enabled tracing before it timed.
        residual: what tracing left behind, by figure name (units in the name), where measured.
        unavailable: why readings are missing; empty when they are there.
    """

    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    traced_before: bool = False
    residual: Mapping[str, float] = field(default_factory=dict)
    unavailable: str = ""


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
