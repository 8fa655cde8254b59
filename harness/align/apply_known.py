"""Declared differences applied to a judgement: which failures they cover, and which they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa

from harness.align.checks import kernel_latency
from harness.align.coverage import Remade, covering
from harness.align.declaration import NEEDS, OF_KERNELS, Declaration
from harness.align.findings import findings
from harness.align.model import CheckResult, KnownDifference, Status
from harness.align.observation import Observation
from harness.align.reach import too_wide
from harness.trace import Trace

MET, NOT_MET, NOT_NEEDED = "met", "not met", "not needed"
EXPIRED, OTHER_VERSIONS, TOO_WIDE = "expired", "other versions", "too wide"


def apply_known(
    observed: Observation,
    checks: tuple[CheckResult, ...],
    declared: Sequence[Declaration],
    case: Mapping[str, Any],
    versions: Mapping[str, str],
    today: date,
) -> tuple[tuple[CheckResult, ...], tuple[KnownDifference, ...]]:
    """Turn the failures that declarations cover into ``known``.

    Args:
        observed: what was judged.
        checks: the results.
        declared: from `read_known`; those of other cases are left out.
        case: fields of the case.
        versions: of packages, by name, with which both sides were recorded; of files those of
            `harness.align.declaration.versions_of_all`.
        today: decides what has expired.

    Returns:
        The checks, and every declaration that concerns the case with its state.
    """
    mine = [one for one in declared if one.concerns(case)]
    refused = _refused(mine, observed, versions, today)
    remade = Remade(observed)
    holding = [one for one in mine if one.name not in refused]
    failed = [check for check in checks if check.status is Status.FAIL]
    covered = {check.name: covering(check, holding, remade) for check in failed}
    narrow = [one for one in mine if refused.get(one.name, ("",))[0] != TOO_WIDE]
    made = tuple(
        _reminded(check, narrow, refused, remade)
        if not covered.get(check.name)
        else _known(check, covered[check.name])
        for check in checks
    )
    states = {one.name: _state(one, failed, covered, remade) for one in holding}
    return made, tuple(_shown(one, *(refused | states)[one.name]) for one in mine)


_State = tuple[str, str]
"""One of the words above, and what a reader should know of it."""


def _refused(
    mine: Sequence[Declaration], observed: Observation, versions: Mapping[str, str], today: date
) -> dict[str, _State]:
    """State of each declaration that covers nothing, whatever failed."""
    refused = {}
    for one in mine:
        if text := one.ended(today):
            refused[one.name] = (EXPIRED, text)
        elif text := one.other_versions(versions):
            refused[one.name] = (OTHER_VERSIONS, text)
    left = [one for one in mine if one.name not in refused]
    wide = too_wide(left, *(set(_names(trace)) for trace in observed.lists))
    return refused | {name: (TOO_WIDE, text) for name, text in wide.items()}


def _known(check: CheckResult, covering: Sequence[Declaration]) -> CheckResult:
    names = ", ".join(one.name for one in covering)
    return replace(check, status=Status.KNOWN, reason=f"known ({names}): {check.reason}")


def _reminded(
    check: CheckResult,
    declared: Sequence[Declaration],
    refused: Mapping[str, _State],
    remade: Remade,
) -> CheckResult:
    """A failure that an ended declaration once covered says so."""
    if check.status is not Status.FAIL or not refused:
        return check
    once = [one for one in covering(check, declared, remade) if one.name in refused]
    said = [f"{one.name}: {refused[one.name][1]}" for one in once]
    return replace(check, reason="; ".join([check.reason, *said])) if said else check


def _state(
    one: Declaration,
    failed: Sequence[CheckResult],
    covered: Mapping[str, Sequence[Declaration]],
    remade: Remade,
) -> _State:
    """Of a declaration that holds: whether it had a part in what became known."""
    if any(one in parts for parts in covered.values()):
        return MET, ""
    found = [check.name for check in failed if _names_part(one, check, remade)]
    if not found:
        return NOT_NEEDED, "nothing it names was found"
    left = [name for name in found if not covered[name]]
    if left:
        return NOT_MET, f"{', '.join(left)} failed by more than what is declared"
    return NOT_NEEDED, "other declarations cover what it names"


def _names_part(one: Declaration, check: CheckResult, remade: Remade) -> bool:
    """Whether a declaration names something of a failure."""
    if one.is_presence and check.name in OF_KERNELS:
        return _launched_otherwise(one, check, remade.observed)
    if one.check != check.name:
        return False
    if check.name == kernel_latency.NAME:
        return any(one.finds(name) for name, _, _ in remade.slow)
    if NEEDS[check.name] == "matching":
        return any(one.matches(*each) for each in findings(check))
    return check.name != "launch" or _launched(one, remade.observed)


def _launched_otherwise(one: Declaration, check: CheckResult, observed: Observation) -> bool:
    """Whether its kernels stand where two lists differ; of checks that compare other lists than
    those of mock and reference, whether they were launched."""
    if check.name in ("repeats", "graph", "overlap", "in layer"):
        return _launched(one, observed)
    return any(one.finds(key) for each in observed.changes for key in (*each.gone, *each.new))


def _launched(one: Declaration, observed: Observation) -> bool:
    traces = [trace for side in observed.sides for trace in side.traces]
    return any(one.finds(name) for trace in traces for name in _names(trace))


def _names(trace: Trace) -> list[str]:
    """The different raw names."""
    names = trace.activities["name"].cast(pa.string()).unique().to_pylist()
    return [name for name in names if name is not None]


def _shown(one: Declaration, state: str, message: str) -> KnownDifference:
    until = one.expires.isoformat() if one.expires else ""
    return KnownDifference(one.name, one.concern, one.reason, one.effect, until, state, message)
