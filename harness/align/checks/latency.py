"""Do both sides take the same time?"""

from __future__ import annotations

from typing import Any

from harness.align.checks.common import skipped
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.measure.model import PairedMeasurement
from harness.measure.sequential import Decision, decide

STATUS = {
    Decision.INSIDE: Status.PASS,
    Decision.OUTSIDE: Status.FAIL,
    Decision.UNDECIDED: Status.INCONCLUSIVE,
}


def latency(observed: Observation) -> CheckResult:
    """The measurement decided that the paired ratio lies inside 1 +- tolerance.

    Fails where it decided on outside; is open, with the reason, where it could not decide. A
    measurement that was not asked to decide is judged by its 95 % interval.
    """
    pair = observed.pair
    if pair is None:
        return skipped("latency", observed.untimed or "not timed")
    low, high = pair.ci95
    decision = Decision(pair.decision or decide(low, high, observed.tolerance))
    why = f": {pair.undecided_because}" if pair.undecided_because else ""
    reason = (
        f"mock / reference {pair.ratio:.4f} [{low:.4f}, {high:.4f}], "
        f"{_against(decision)} 1 +- {observed.tolerance:.2%}{why}; {_how(pair)}"
    )
    return CheckResult("latency", STATUS[decision], reason, pair.notes, _data(pair, observed))


def _against(decision: Decision) -> str:
    return "undecided against" if decision is Decision.UNDECIDED else str(decision)


def _how(pair: PairedMeasurement) -> str:
    """Times and what they rest on, in one line."""
    mock = pair.mock
    instances = f"{mock.instances} instance{'s' if mock.instances > 1 else ''} a side"
    pairs = f"{len(mock.samples_ms)} pairs, {instances}"
    calls = f" of {mock.calls_per_sample} calls" if mock.calls_per_sample > 1 else ""
    parts = [
        f"{mock.median_ms:.4f} against {pair.reference.median_ms:.4f} ms",
        f"{pairs}, {mock.mode}{calls}, {pair.cache}",
    ]
    if pair.floor:
        low, high = pair.floor.ci95
        parts.append(f"A/A {pair.floor.ratio:.4f} [{low:.4f}, {high:.4f}]")
    return "; ".join(parts)


def _data(pair: PairedMeasurement, observed: Observation) -> dict[str, Any]:
    floor = pair.floor
    return {
        "ratio": pair.ratio,
        "ci95": list(pair.ci95),
        "tolerance": observed.tolerance,
        "decision": pair.decision,
        "undecided_because": pair.undecided_because,
        "method": pair.method,
        "floor": floor and {"ratio": floor.ratio, "ci95": list(floor.ci95), "what": floor.what},
        "cache": pair.cache,
        "cache_state": pair.cache_state,
        "gap_share": pair.gap_share,
        "instances": pair.mock.instances,
        "blocks": pair.blocks,
        "looks": pair.looks,
        "seconds": pair.seconds,
        "drift": pair.drift,
        "slow_samples": list(pair.slow_samples),
        "levels": list(pair.levels),
    }
