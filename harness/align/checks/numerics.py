"""Do both sides compute the same?"""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.align.checks.common import limited
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.measure.inside import Inside
from harness.measure.model import Numerics

MOST_NAMED = 3
"""Submodules that the reason names; the details and the evidence have more."""


def numerics(observed: Observation) -> CheckResult:
    """With shared weights and inputs the outputs agree within the tolerance of their dtype.

    Where submodules were compared as well, those that differ fail the check, whatever the outputs
    say; what was not compared is named, with the reason.
    """
    unshared = [f"not shared: {line}" for line in observed.unshared_weights]
    return _with_submodules(_outputs(observed, unshared), observed.submodule_numerics)


def _outputs(observed: Observation, unshared: list[str]) -> CheckResult:
    found = observed.numerics
    if found is None:
        reason = observed.no_numerics or "outputs were not compared"
        return CheckResult("numerics", Status.SKIPPED, reason)
    status, reason = _judged(found)
    return CheckResult("numerics", status, reason, limited(unshared), dataclasses.asdict(found))


def _judged(found: Numerics) -> tuple[Status, str]:
    if found.problem:
        return Status.FAIL, f"{found.problem} ({found.where})"
    if not found.reproducible:
        text = f"the reference differs from itself by up to {found.noise:.2e} ({found.where})"
        return Status.INCONCLUSIVE, text
    agree = found.finite and found.mismatched == 0.0
    figures = (
        "bitwise equal"
        if found.bitwise
        else f"max abs {found.max_abs:.2e}, relative L2 {found.rel_l2:.2e}, "
        f"{found.mismatched:.2%} of {found.elements} beyond rtol {found.rtol:.0e} "
        f"and atol {found.atol:.0e}"
    )
    if found.noise:
        figures += f"; the reference differs from itself by up to {found.noise:.2e}"
    if not found.finite:
        figures += ", not finite"
    text = f"outputs {'agree' if agree else 'differ'}: {figures} ({found.where})"
    return Status.PASS if agree else Status.FAIL, text


def _with_submodules(result: CheckResult, inside: tuple[tuple[str, Numerics], ...]) -> CheckResult:
    """The result with what was found of submodules, in the order in which they end: where outputs
    begin to differ is the first that does."""
    if not inside:
        return result
    different = {path: _difference(one) for path, one in inside if _difference(one)}
    left = {path: _left_out(one) for path, one in inside if _left_out(one)}
    other = {path: _reordered(one) for path, one in inside if _reordered(one)}
    every = {_submodule(path) for path, _ in inside}
    differing = {_submodule(path) for path in different}
    agreeing = {_submodule(path) for path, one in inside if not _left_out(one)} - differing
    parts = [f"{len(agreeing)} of {len(every)} submodules agree"]
    if not agreeing and not differing:
        parts = ["no submodule was compared"]
    parts += [f"in another order: {_named(other)}"] if other else []
    parts += [f"{len(differing)} differ: {_named(different)}"] if different else []
    parts += [f"not compared: {_named(left)}"] if left else []
    lines = [f"{path} differs: {what}" for path, what in different.items()]
    lines += [f"{path} not compared: {why}" for path, why in left.items()]
    data: dict[str, Any] = {path: dataclasses.asdict(one) for path, one in inside}
    return dataclasses.replace(
        result,
        status=Status.FAIL if different else result.status,
        reason="; ".join([result.reason, *parts]),
        details=limited([*lines, *result.details]),
        data={**result.data, "submodules": data},
    )


def _submodule(path: str) -> str:
    """``gate`` for ``gate[1]``, the second tensor that it returns."""
    return path.split("[")[0]


def _left_out(one: Numerics) -> str:
    """Why it says nothing; empty where it does."""
    if isinstance(one, Inside) and one.left_out:
        return one.left_out
    return "" if one.reproducible else f"the reference differs from itself by up to {one.noise:.2e}"


def _difference(one: Numerics) -> str:
    """How it differs; empty where it does not, or where nobody knows."""
    if _left_out(one) or not (one.problem or one.mismatched > 0.0 or not one.finite):
        return ""
    figures = one.how if isinstance(one, Inside) and one.how else f"relative L2 {one.rel_l2:.2e}"
    return one.problem or figures


def _reordered(one: Numerics) -> str:
    """How integers agree that are not in the same places; empty for all others."""
    if not isinstance(one, Inside) or one.bitwise or _difference(one) or _left_out(one):
        return ""
    return one.how


def _named(said: dict[str, str]) -> str:
    lines = [f"{path} ({what})" for path, what in said.items()]
    more = f" and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    return ", ".join(lines[:MOST_NAMED]) + more
