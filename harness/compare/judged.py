"""A judgement with causes, known differences and what follows for an integration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from harness.align.apply_known import apply_known
from harness.align.explain.explain import causes_of_silence, explained
from harness.align.integration import integration
from harness.align.judge import Judgement, judge, verdict_of
from harness.align.known import Declaration
from harness.align.model import Cause, Integration, KnownDifference, Verdict
from harness.align.observation import Observation
from harness.errors import InputError
from ops.registry import operator
from ops.spec import OpSpec


@dataclass(frozen=True)
class Judged:
    """A judgement and what is added to it.

    Attributes:
        judgement: checks with their causes, known differences applied; the verdict after that.
        causes: why nothing was seen, where nothing was.
        known: declared differences.
        integration: for a database's maintainer.
    """

    judgement: Judgement
    causes: tuple[Cause, ...]
    known: tuple[KnownDifference, ...]
    integration: Integration


def judged(
    observed: Observation,
    case: Mapping[str, Any],
    declared: Sequence[Declaration],
    versions: Mapping[str, str],
) -> Judged:
    """Judge, explain, apply known differences, conclude.

    Args:
        observed: both sides.
        case: its fields; an operator of the catalogue under ``op`` tells heads and kernels.
        declared: known differences.
        versions: of packages, by name.
    """
    found, op = judge(observed), _operator(case)
    patterns = op.kernel_patterns if op else {}
    if found.verdict is Verdict.NO_SIGNAL or not found.kernels:
        causes = causes_of_silence(observed)
        return Judged(found, causes, (), integration(found.verdict, found.checks, (), (), patterns))
    checks = explained(observed, found.checks, {**_dimensions(op, case), **case})
    today = datetime.now(UTC).date()
    checks, known = apply_known(observed, checks, declared, case, versions, today)
    verdict, summary = verdict_of(observed, checks)
    made = replace(found, verdict=verdict, summary=summary, checks=checks)
    concluded = integration(verdict, checks, found.kernels, known, patterns)
    return Judged(made, (), known, concluded)


def _operator(case: Mapping[str, Any]) -> OpSpec | None:
    try:
        return operator(str(case.get("op", "")))
    except InputError:  # a callable of the user's has a name of its own
        return None


def _dimensions(op: OpSpec | None, case: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes of the reference that rules read: index_topk, and heads of one rank where tp is known
    (two files without the evidence of their run do not tell it)."""
    if op is None or op.heads not in op.dimensions:
        return {}
    found = {"index_topk": op.dimensions.get("index_topk")}
    tp = case.get("tp")
    return found if not tp else {"heads": int(op.dimensions[op.heads]) // int(tp), **found}
