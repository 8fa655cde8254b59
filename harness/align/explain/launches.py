"""Facts from the lists of kernels, copies, fills and ATen calls."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.align.explain.rules import Facts, Rulebook
from harness.align.observation import Observation
from harness.names import family
from harness.trace import Trace

NARROW = ("float8", "float4", "int8")
"""Beginnings of dtypes into which only quantisation casts."""


def launch_facts(observed: Observation, book: Rulebook) -> Facts:
    """What is missing and extra by class, exchanges within a family, scaled grids, streams."""
    mock, reference = observed.keys
    lost, own = Counter(reference) - Counter(mock), Counter(mock) - Counter(reference)
    facts: dict[str, Any] = {"missing": lost.total(), "extra": own.total()}
    facts["names_differ"] = int(bool(lost or own))
    for name, pattern in book.kernels.items():
        word = name.replace(" ", "_")
        for sign, counts in (("missing", lost), ("extra", own)):
            facts[f"{sign}_{word}"] = sum(n for key, n in counts.items() if pattern.search(key))
        facts[f"reference_{word}"] = sum(bool(pattern.search(key)) for key in reference)
        facts[f"mock_{word}"] = sum(bool(pattern.search(key)) for key in mock)
    facts["missing_share_of_indexer"] = _share(facts["missing_indexer"], facts["reference_indexer"])
    facts["copy_share_of_extra"] = _share(facts["extra_copy"], facts["extra"])
    facts["norm_exchanges"] = max(
        min(facts["missing_fused_norm"], facts["extra_norm_part"]),
        min(facts["extra_fused_norm"], facts["missing_norm_part"]),
    )
    facts["narrow_casts"] = abs(_narrow(observed.lists[0]) - _narrow(observed.lists[1]))
    return {**facts, **_families(lost, own), **_grids(observed, book), **_streams(observed)}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _narrow(trace: Trace) -> int:
    """ATen calls that return a narrow dtype."""
    outputs = trace.activities["outputs"].to_pylist()
    return sum(
        any(str(tensor["dtype"]).startswith(NARROW) for tensor in each) for each in outputs if each
    )


def _families(lost: Counter[str], own: Counter[str]) -> dict[str, Any]:
    """Kernels of one side that stand for one of the same family on the other."""
    missing, extra = _by_family(lost), _by_family(own)
    pairs = {name: min(missing[name], extra[name]) for name in missing if name in extra}
    exchanged = sum(pairs.values())
    found: dict[str, Any] = {"same_family_exchanges": exchanged}
    found["same_family_share_of_changes"] = _share(2 * exchanged, lost.total() + own.total())
    if pairs:
        found["exchanged_family"] = max(pairs, key=lambda name: pairs[name])
    return found


def _by_family(counts: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for key, count in counts.items():
        if not key.startswith("aten::"):  # an ATen call has no family
            found[family(key)] += count
    return found


def _grids(observed: Observation, book: Rulebook) -> dict[str, Any]:
    """How the grids of matched kernels scale."""
    ours, theirs = (trace.activities["grid"].to_pylist() for trace in observed.lists)
    names = observed.keys[1]
    pairs = [row for pair in observed.streams for row in pair.matched_rows()]
    factors: list[tuple[str, float]] = []
    known = 0
    for one, other in pairs:
        if ours[one] is None or theirs[other] is None:
            continue
        known += 1
        if ours[one] != theirs[other]:
            factors.append((names[other], math.prod(ours[one]) / math.prod(theirs[other])))
    found: dict[str, Any] = {"grids_that_differ": len(factors)}
    if not factors:
        return found
    experts = [f for name, f in factors if book.kernels["expert"].search(name)]
    found["expert_grids_that_differ"] = len(experts)
    found["other_grids_that_differ"] = len(factors) - len(experts)
    common, count = Counter(round(factor, 3) for _, factor in factors).most_common(1)[0]
    found |= {"grid_factor": common, "grids_with_that_factor": count}
    found["scaled_share_of_kernels"] = count / known
    return found


def _streams(observed: Observation) -> dict[str, Any]:
    ours, theirs = (len(set(trace.activities["stream"].to_pylist())) for trace in observed.lists)
    found: dict[str, Any] = {"mock_streams": ours, "reference_streams": theirs}
    found["streams_lacking"] = theirs - ours
    overlaps = [_overlap(trace) for trace in observed.lists]
    if None not in overlaps:
        found["mock_overlap"], found["reference_overlap"] = overlaps
    return found


def _overlap(trace: Trace) -> float | None:
    """Summed durations / length of their union: above 1 where kernels run at the same time."""
    starts, ends = (trace.activities[name].to_pylist() for name in ("start_ns", "end_ns"))
    spans = sorted((a, b) for a, b in zip(starts, ends, strict=True) if None not in (a, b))
    union = reached = 0
    for start, end in spans:
        union += max(0, end - max(start, reached))
        reached = max(reached, end)
    return sum(b - a for a, b in spans) / union if union else None


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


SHORTEST_NS = 2_000
"""Kernels below take some 60 steps of the timer (32 ns on an H200), too few for 3 %."""


def _factors(observed: Observation) -> list[float]:
    """Duration in the mock / in the reference of each matched kernel that is long enough."""
    ours, theirs = (_durations(trace) for trace in observed.lists)
    return [
        ours[one] / theirs[other]
        for pair in observed.streams
        for one, other in pair.matched_rows()
        if ours[one] >= SHORTEST_NS and theirs[other] >= SHORTEST_NS
    ]


def _durations(trace: Trace) -> list[int]:
    starts, ends = (trace.activities[name].to_pylist() for name in ("start_ns", "end_ns"))
    return [0 if None in (a, b) else b - a for a, b in zip(starts, ends, strict=True)]


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
    times = [sum(_durations(forward)) for forward in forwards]
    if len(times) < 3 or not statistics.median(times[1:]):
        return None
    return times[0] / statistics.median(times[1:])


def graph_facts(observed: Observation, book: Rulebook) -> Facts:
    """Whether both sides capture, and what stands in the way of the one that does not."""
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    facts: dict[str, Any] = {}
    if mock.captured is not None and reference.captured is not None:
        facts["captured_on_one_side"] = int(mock.captured != reference.captured)
        failing = reference if mock.captured else mock
        if mock.captured != reference.captured:
            facts["side_without_graph"] = failing.label
            facts["graph_problem"] = failing.graph_problem[:160]
            waits = bool(book.words["synchronisation"].search(failing.graph_problem))
            facts["capture_met_a_wait"] = int(waits)
    one, other = mock.recorded_topology, reference.recorded_topology
    if one is not None and other is not None:
        facts["branches_lacking"] = other.branches - one.branches
    return facts
