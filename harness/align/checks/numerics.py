"""Do both sides compute the same?"""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.align.checks.common import failed, limited, skipped
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation


def numerics(observed: Observation) -> CheckResult:
    """With shared weights and inputs the outputs agree within the tolerance of their dtype."""
    found = observed.numerics
    if found is None:
        return skipped("numerics", observed.no_numerics or "outputs were not compared")
    unshared = [f"not shared: {line}" for line in observed.unshared_weights]
    if found.problem:
        return failed("numerics", f"{found.problem} ({found.where})", unshared)
    if not found.reproducible:
        text = f"the reference differs from itself by up to {found.noise:.2e} ({found.where})"
        return CheckResult("numerics", Status.INCONCLUSIVE, text, data=dataclasses.asdict(found))
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
    return CheckResult(
        "numerics",
        Status.PASS if agree else Status.FAIL,
        f"outputs {'agree' if agree else 'differ'}: {figures} ({found.where})",
        limited([*_submodules(observed), *unshared]),
        dataclasses.asdict(found) | _figures(observed),
    )


def _submodules(observed: Observation) -> list[str]:
    """Submodules whose outputs differ, in the order in which they end; look at the first."""
    return [
        f"{path} differs: {one.problem or f'relative L2 {one.rel_l2:.2e}'}"
        for path, one in observed.submodule_numerics
        if one.problem or one.mismatched > 0.0
    ]


def _figures(observed: Observation) -> dict[str, Any]:
    inside = observed.submodule_numerics
    return {"submodules": {path: dataclasses.asdict(one) for path, one in inside}} if inside else {}
