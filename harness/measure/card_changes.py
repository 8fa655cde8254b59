"""What changed on the card while something was measured, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.measure.model import Conditions
from harness.measure.nvml_names import SPOILING_POLICIES, THROTTLING

MODES = {"mig_mode": "MIG mode", "persistence": "persistence mode", "ecc": "ECC mode"}
NS_PER_MS = 1e6


def card_changes(state: Conditions) -> list[str]:
    """Whatever makes the figures of one moment incomparable with those of another.

    Clocks and temperature are not among them, nor the software power cap. A reading that is missing
    on either side changes nothing here.
    """
    return [
        *_throttling(state),
        *_violations(state),
        *_power_limit(state),
        *_processes(state),
        *_ecc_errors(state),
        *_modes(state),
    ]


def power_capped_ms(state: Conditions) -> float | None:
    """For how long the power limit held the SM clock down, in ms; None where it is not told.

    The counter moves about every 100 ms.
    """
    grown = _growth(state, "violations_ns").get("power")
    return None if grown is None else grown / NS_PER_MS


def _throttling(state: Conditions) -> list[str]:
    times = ((state.before, "before"), (state.during, "during"), (state.after, "after"))
    lines = []
    for reading, when in times:
        if reading.get("throttled"):
            seen = reading.get("clock_event_reasons") or ()
            reasons = [reason for reason in seen if reason in THROTTLING] or seen
            lines.append(f"throttled {when} timing: {', '.join(reasons)}")
    return lines


def _violations(state: Conditions) -> list[str]:
    return [
        f"held below its clocks for {grown / NS_PER_MS:.1f} ms: {policy}"
        for policy, grown in _growth(state, "violations_ns").items()
        if policy in SPOILING_POLICIES and grown > 0
    ]


def _power_limit(state: Conditions) -> list[str]:
    name = "power_limit_w"
    before, after = state.before.get(name), state.after.get(name)
    between = [limit for limit in state.during.get(name, ()) if limit not in (before, after)]
    if before is None or after is None or (before == after and not between):
        return []
    path = [before, *between, after]
    return [f"power limit {' -> '.join(str(limit) for limit in path)} W"]


def _processes(state: Conditions) -> list[str]:
    name = "process_ids"
    known = state.before.get(name)
    if known is None:
        return []
    new = _set(state.during.get(name)) | _set(state.after.get(name))
    came = sorted(new - _set(known))
    if not came:
        return []
    listed = ", ".join(str(process) for process in came)
    return [f"another process came to the card: {listed}"]


def _ecc_errors(state: Conditions) -> list[str]:
    return [
        f"{grown} {kind} memory error{'s' * (grown > 1)} (ECC)"
        for kind, grown in _growth(state, "ecc_errors").items()
        if grown > 0
    ]


def _modes(state: Conditions) -> list[str]:
    lines = []
    for name, said in MODES.items():
        before, after = state.before.get(name), state.after.get(name)
        if None not in (before, after) and before != after:
            lines.append(f"{said} {_on_off(before)} -> {_on_off(after)}")
    return lines


def _growth(state: Conditions, name: str) -> dict[str, int]:
    """Per counter what it grew by, where both readings have it."""
    before: Mapping[str, Any] = state.before.get(name) or {}
    after: Mapping[str, Any] = state.after.get(name) or {}
    both = {key for key in before.keys() & after.keys() if None not in (before[key], after[key])}
    return {key: after[key] - before[key] for key in sorted(both)}


def _set(processes: Iterable[int] | None) -> set[int]:
    return set(processes or ())


def _on_off(flag: Any) -> str:
    return "on" if flag else "off"
