"""Were both sides observed under conditions that allow a comparison, and completely?"""

from __future__ import annotations

import dataclasses

from harness.align.checks.common import failed, limited
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.measure.model import Conditions

CLOCK_CHANGE = 0.05
"""Largest change of the SM clock between before and after, as a fraction: beyond it samples from
the start and the end of a run are not of the same card. A GPU under load that stays within one
power state moves by 1 to 3 %."""


def conditions(observed: Observation) -> CheckResult:
    """Records complete; clocks, throttling, power limit and temperature comparable."""
    lost = [
        f"{side.label}: {reason}"
        for side in observed.sides
        for trace in side.traces
        for reason in trace.info.incomplete
    ]
    if lost:
        return failed("conditions", "the records are not complete", dict.fromkeys(lost))
    records = sum(len(trace) for side in observed.sides for trace in side.traces)
    complete = f"{records} records, complete"
    state = observed.conditions
    if state is None:
        return CheckResult("conditions", Status.PASS, f"{complete}; no device, so no clocks")
    if state.unavailable:
        return CheckResult(
            "conditions", Status.INCONCLUSIVE, f"{complete}; card not read: {state.unavailable}"
        )
    changes = _changes(state)
    return CheckResult(
        "conditions",
        Status.INCONCLUSIVE if changes else Status.PASS,
        f"{complete}; " + ("the card changed" if changes else _card(state)) + _residual(state),
        limited(changes),
        dataclasses.asdict(state),
    )


def _changes(state: Conditions) -> list[str]:
    before, after = state.before, state.after
    changes = []
    for reading, when in ((before, "before"), (after, "after")):
        if reading.get("throttled"):
            reasons = ", ".join(reading.get("clock_event_reasons", ()))
            changes.append(f"throttled {when} timing: {reasons}")
    if before.get("power_limit_w") != after.get("power_limit_w"):
        changes.append(
            f"power limit {before.get('power_limit_w')} -> {after.get('power_limit_w')} W"
        )
    first, last = before.get("sm_clock_mhz"), after.get("sm_clock_mhz")
    if first and last and abs(last / first - 1) > CLOCK_CHANGE:
        changes.append(f"SM clock {first} -> {last} MHz")
    return changes


def _card(state: Conditions) -> str:
    after = state.after
    return (
        f"SM {after.get('sm_clock_mhz')} MHz, {after.get('temperature_c')} C, "
        f"limit {after.get('power_limit_w')} W, not throttled"
    )


def _residual(state: Conditions) -> str:
    """What earlier tracing in this process left behind; both sides were timed with it."""
    if not state.traced_before:
        return ""
    figures = ", ".join(f"{name} {value:.3f}" for name, value in state.residual.items())
    return f"; timed after tracing in this process, residual {figures or 'not measured'}"
