"""Declared differences applied to a judgement: which failures they cover, and which they do not."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from harness.align.checks import CHECKS
from harness.align.known import BOUNDED, MATCHED, Declaration
from harness.align.model import CheckResult, KnownDifference, Status
from harness.align.observation import Observation
from harness.align.without import without_kernels

OF_KERNELS = frozenset(
    {"names", "counts", "order", "missing", "extra", "launch", "graph", "repeats", "in layer"}
)
"""Checks that are made again without the declared kernels."""

MET, NOT_MET, EXPIRED, OTHER_VERSIONS = "met", "not met", "expired", "other versions"


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
        versions: of packages, by name.
        today: decides what has expired.

    Returns:
        The checks, and every declaration that concerns the case with its state.
    """
    mine = [one for one in declared if one.concerns(case)]
    problems = {one.name: one.ended(today) or one.other_versions(versions) for one in mine}
    holding = [one for one in mine if not problems[one.name]]
    made = tuple(_with_known(check, holding, observed) for check in checks)
    shown = tuple(_shown(one, problems[one.name], observed, checks, made, today) for one in mine)
    return tuple(_reminded(check, mine, problems, observed) for check in made), shown


def _with_known(
    check: CheckResult, declared: Sequence[Declaration], observed: Observation
) -> CheckResult:
    if check.status is not Status.FAIL:
        return check
    covering = _covering(check, declared, observed)
    if not covering:
        return check
    names = ", ".join(one.name for one in covering)
    return replace(check, status=Status.KNOWN, reason=f"known ({names}): {check.reason}")


def _covering(
    check: CheckResult, declared: Sequence[Declaration], observed: Observation
) -> list[Declaration]:
    """The declarations that cover all of a failure; none where something is left."""
    own = [one for one in declared if one.check == check.name]
    if check.name in MATCHED:
        patterns = [re.compile(text) for one in own for text in one.matching]
        lines = failing_lines(check)
        return own if lines and all(_matches(line, patterns) for line in lines) else []
    if check.name in BOUNDED:
        return [one for one in own if _within(check, one.most or 0.0)]
    if own:
        return own
    kernels = [one for one in declared if one.kernel and _met(one, observed)]
    if check.name not in OF_KERNELS or not kernels:
        return []
    again = CHECKS[check.name](without_kernels(observed, [one.kernel for one in kernels]))
    return kernels if again.status is not Status.FAIL else []


def failing_lines(check: CheckResult) -> list[str]:
    """Everything that a check of `MATCHED` found, also what its details leave out."""
    rows = [*check.data.get("tensors", ()), *check.data.get("weights", ())]
    lines = [f"{row['submodule']} {row['what']}" for row in rows if not row["same"]]
    return lines + [each["path"] for each in check.data.get("differences", ())]


def _matches(line: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    return any(pattern.fullmatch(line) for pattern in patterns)


def _within(check: CheckResult, most: float) -> bool:
    interval = check.data.get("ci95") or (math.inf,)
    return all(abs(bound - 1) <= most for bound in interval)


def _met(declared: Declaration, observed: Observation) -> bool:
    pattern = re.compile(declared.kernel)
    return any(pattern.search(key) for keys in observed.keys for key in keys)


def _shown(
    one: Declaration, problem: str, observed: Observation, before: Sequence[CheckResult],
    after: Sequence[CheckResult], today: date,
) -> KnownDifference:  # fmt: skip
    state = NOT_MET
    if problem:
        state = EXPIRED if one.ended(today) else OTHER_VERSIONS
    elif any(_covers(one, check, observed) for check in _turned(before, after)):
        state = MET
    return KnownDifference(
        one.name,
        one.check or f"kernel {one.kernel}",
        one.reason,
        one.effect,
        one.expires.isoformat() if one.expires else "",
        state,
        problem or ("" if state == MET else "nothing that it covers failed here"),
    )


def _turned(before: Sequence[CheckResult], after: Sequence[CheckResult]) -> list[CheckResult]:
    """The failures, as they were, that became known."""
    pairs = zip(before, after, strict=True)
    return [old for old, new in pairs if old.status is not new.status]


def _covers(one: Declaration, check: CheckResult, observed: Observation) -> bool:
    """Whether a declaration had a part in covering a failure."""
    if one.check:
        return one.check == check.name
    return check.name in OF_KERNELS and _met(one, observed)


def _reminded(
    check: CheckResult, declared: Sequence[Declaration], problems: Mapping[str, str],
    observed: Observation,
) -> CheckResult:  # fmt: skip
    """A failure that an ended declaration once covered says so."""
    if check.status is not Status.FAIL:
        return check
    ended = [one for one in declared if problems[one.name]]
    said = [f"{one.name}: {problems[one.name]}" for one in _covering(check, ended, observed)]
    return replace(check, reason="; ".join([check.reason, *said])) if said else check
