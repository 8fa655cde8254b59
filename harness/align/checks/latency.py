"""Do both sides take the same time?"""

from __future__ import annotations

from harness.align.checks.common import skipped
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation


def latency(observed: Observation) -> CheckResult:
    """The paired ratio's 95 % interval lies inside 1 +- tolerance; fails only wholly outside."""
    pair = observed.pair
    if pair is None:
        return skipped("latency", observed.untimed or "not timed")
    low, high = pair.ci95
    bound_low, bound_high = 1 - observed.tolerance, 1 + observed.tolerance
    if bound_low <= low and high <= bound_high:
        status, relation = Status.PASS, "inside"
    elif high < bound_low or low > bound_high:
        status, relation = Status.FAIL, "outside"
    else:
        status, relation = Status.INCONCLUSIVE, "across the edge of"
    reason = (
        f"mock / reference {pair.ratio:.4f} [{low:.4f}, {high:.4f}], {relation} "
        f"1 +- {observed.tolerance:.2%}; {pair.mock.median_ms:.4f} against "
        f"{pair.reference.median_ms:.4f} ms, {len(pair.mock.samples_ms)} pairs, {pair.mock.mode}"
    )
    data = {"ratio": pair.ratio, "ci95": [low, high], "tolerance": observed.tolerance}
    return CheckResult("latency", status, reason, pair.notes, data)
