"""Were both sides observed under conditions that allow a comparison, and completely?"""

from __future__ import annotations

import dataclasses
import statistics

from harness.align.checks.common import failed, limited
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.measure.card_changes import card_changes, power_capped_ms
from harness.measure.model import Conditions

FEWEST_FOR_DRIFT = 8
"""Pairs in each half from which a median says something about drift."""


def conditions(observed: Observation) -> CheckResult:
    """Records complete; nothing changed on the card (`card_changes`); a ratio that holds still.

    Clocks and temperature are shown and not judged (see `_drift`). What could not be read leaves
    the check open.
    """
    if observed.losses:
        return failed("conditions", "the records are not complete", observed.losses)
    records = sum(len(trace) for side in observed.sides for trace in side.traces)
    complete = f"{records} records, complete"
    state = observed.conditions
    if state is None:
        return CheckResult("conditions", Status.PASS, f"{complete}; {_no_clocks(observed)}")
    if state.unavailable:
        return CheckResult(
            "conditions", Status.INCONCLUSIVE, f"{complete}; card not read: {state.unavailable}"
        )
    changes = [*_unread(state), *card_changes(state), *_drift(observed)]
    return CheckResult(
        "conditions",
        Status.INCONCLUSIVE if changes else Status.PASS,
        f"{complete}; " + (_changed(changes) if changes else _card(state)) + _residual(state),
        limited(changes),
        dataclasses.asdict(state),
    )


def _no_clocks(observed: Observation) -> str:
    return "no device, so no clocks" if observed.live else "read from files, so no clocks"


def _unread(state: Conditions) -> list[str]:
    """What has to be known and is not."""
    missing = [
        f"{name} could not be read"
        for name in ("sm_clock_mhz", "power_limit_w", "throttled")
        if state.before.get(name) is None or state.after.get(name) is None
    ]
    if state.traced_before and not state.residual:
        missing.append(
            "timed after tracing in this process, whose residual cost could not be measured"
        )
    return missing


def _changed(changes: list[str]) -> str:
    """One line for the verdict; the details hold all of them."""
    more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"not comparable: {changes[0]}{more}"


def _drift(observed: Observation) -> list[str]:
    """Whether the ratio moved during timing.

    Clocks sag while a card heats up under load; samples are interleaved, so that both sides see
    the same clocks and the ratio stays. It is the ratio that has to hold still.
    """
    pair = observed.pair
    if pair is None or len(pair.mock.samples_ms) < 2 * FEWEST_FOR_DRIFT:
        return []
    samples = zip(pair.mock.samples_ms, pair.reference.samples_ms, strict=True)
    ratios = [mock / reference for mock, reference in samples]
    half = len(ratios) // 2
    early, late = statistics.median(ratios[:half]), statistics.median(ratios[half:])
    if abs(late - early) <= observed.tolerance:
        return []
    return [f"the ratio moved from {early:.4f} to {late:.4f} during timing"]


def _card(state: Conditions) -> str:
    before, after = state.before, state.after
    return (
        f"SM {before.get('sm_clock_mhz')} -> {after.get('sm_clock_mhz')} MHz{_between(state)}, "
        f"{before.get('temperature_c')} -> {after.get('temperature_c')} C, "
        f"limit {after.get('power_limit_w')} W, not throttled{_capped(state)}{_others(state)}"
    )


def _between(state: Conditions) -> str:
    """What another process saw meanwhile, or why it saw nothing."""
    if state.unsampled:
        return " (not sampled in between)"
    clocks = state.during.get("sm_clock_mhz")
    if not clocks:
        return ""
    return f" ({clocks[0]} to {clocks[1]} in {state.during.get('readings')} readings between)"


def _capped(state: Conditions) -> str:
    """The power cap is met by design, and both sides meet it; how long is worth knowing."""
    capped = power_capped_ms(state)
    return f", power cap for {capped:.0f} ms" if capped else ""


def _others(state: Conditions) -> str:
    """Processes that were there all along."""
    others = len(state.before.get("process_ids") or ())
    return f", {others} other process{'es' * (others > 1)} on the card" if others else ""


def _residual(state: Conditions) -> str:
    """What earlier tracing in this process left behind; both sides were timed with it."""
    if not state.traced_before or not state.residual:
        return ""
    figures = ", ".join(f"{name} {value:.3f}" for name, value in state.residual.items())
    return f"; timed after tracing in this process, residual {figures}"
