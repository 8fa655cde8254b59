"""Facts from times: of matched kernels, of forwards, of samples, of the card's clock."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.align.durations import device_times, launch_ns
from harness.align.explain.rules import Facts
from harness.align.observation import Observation
from harness.trace import Trace

SHORTEST_NS = 2_000
"""Kernels below take some 60 steps of the timer (32 ns on an H200), too few for 3 %."""


def time_facts(observed: Observation) -> Facts:
    """How the times of matched kernels, of forwards and of samples compare."""
    facts: dict[str, Any] = {}
    if observed.pair is not None:
        ratio = observed.pair.ratio
        facts["latency_factor"] = ratio
        facts["slower_by"] = abs(ratio - 1)
        facts |= _early(observed.pair.mock.samples_ms)
    factors = _factors(observed)
    if factors:
        typical = statistics.median(factors)
        near = sum(abs(factor / typical - 1) <= 0.03 for factor in factors)
        facts |= {"kernel_time_factor": typical, "kernels_compared": len(factors)}
        facts["kernel_time_change"] = abs(typical - 1)
        facts["kernels_with_that_factor_share_of_all"] = near / len(factors)
    clocks = [_clock(trace) for trace in observed.lists]
    if clocks[0] and clocks[1]:
        facts["clock_factor"] = clocks[0] / clocks[1]
        facts["clock_change"] = abs(clocks[0] / clocks[1] - 1)
    first = _first_forward(observed.mock.eager_forwards) or 0.0
    facts["first_forward_factor"] = max(first, float(facts.get("first_sample_factor", 0.0)))
    return facts


def _factors(observed: Observation) -> list[float]:
    """Duration in the mock / in the reference of each matched kernel that is long enough."""
    ours, theirs = (launch_ns([trace])[0] for trace in observed.lists)
    pairs = [rows for pair in observed.streams for rows in pair.matched_rows()]
    if not pairs:
        return []
    one, other = (ours[[row for row, _ in pairs]], theirs[[row for _, row in pairs]])
    long = (one >= SHORTEST_NS) & (other >= SHORTEST_NS)  # never of an unknown duration
    factors: list[float] = np.divide(one[long], other[long]).tolist()
    return factors


def _clock(trace: Trace) -> float | None:
    clock = trace.info.gpu.get("sm_clock_mhz")
    return float(clock) if isinstance(clock, (int, float)) else None


def _early(samples: Sequence[float]) -> dict[str, Any]:
    if len(samples) < 5:
        return {}
    typical = statistics.median(samples[len(samples) // 2 :])
    return {"first_sample_factor": samples[0] / typical} if typical else {}


def _first_forward(forwards: Sequence[Trace]) -> float | None:
    """Time in kernels of the first forward / of the median of the later ones."""
    times = [found["kernels_ns"] for each in forwards if (found := device_times(each))]
    if len(times) < 3 or len(times) < len(forwards) or not statistics.median(times[1:]):
        return None
    return times[0] / statistics.median(times[1:])
