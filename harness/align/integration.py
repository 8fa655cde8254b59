"""What taking an operator into a database needs: conclusion, label, corrections to the mock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.align.apply_known import MET
from harness.align.model import (
    CheckResult,
    Integration,
    KernelRow,
    KnownDifference,
    Status,
    Verdict,
)
from harness.names import family

MOST_PARTS = 3
"""Kernels that a label names."""

LEAST_SHARE = 0.1
"""Of the time (or of the launches, without times), from which a kernel names the operator."""

UNTIMED = (
    "the mock's structure is the model's; times were not compared, so nothing is said of "
    "its numbers"
)
"""Conclusion of an alignment without a latency."""

_CONCLUSIONS = {
    Verdict.ALIGNED: "the mock launches what the model launches and takes the same time: its "
    "numbers may stand for the model's",
    Verdict.DIVERGED: "the mock is not the model's operator: its numbers must not be used before "
    "the corrections below are made",
    Verdict.INCONCLUSIVE: "nothing differs beyond doubt, but not everything was decided: "
    "measure again before its numbers are used",
    Verdict.NO_SIGNAL: "nothing was compared: there is no evidence for or against the mock",
    Verdict.INVALID_CAPTURE: "the recording is not whole: record again before concluding",
}


def integration(
    verdict: Verdict,
    checks: Sequence[CheckResult],
    kernels: Sequence[KernelRow],
    known: Sequence[KnownDifference],
    patterns: Mapping[str, str],
) -> Integration:
    """Conclude.

    Args:
        verdict, checks, kernels: of the judgement.
        known: declared differences.
        patterns: kernels that only this operator launches, by what they do
            (`OpSpec.kernel_patterns`).
    """
    conclusion = _CONCLUSIONS[verdict]
    skipped = [check.name for check in checks if check.status is Status.SKIPPED]
    if verdict is Verdict.ALIGNED and "latency" in skipped:
        conclusion = UNTIMED
    met = [one for one in known if one.state == MET]
    if met and verdict is Verdict.ALIGNED:
        effects = "; ".join(f"{one.name} ({one.effect})" for one in met)
        conclusion += f"; but for known differences: {effects}"
    return Integration(conclusion, kernel_source(kernels, patterns), _corrections(checks))


def kernel_source(kernels: Sequence[KernelRow], patterns: Mapping[str, str]) -> str:
    """A label for the row of a database: the families of the kernels that are the operator.

    First those that the operator's patterns name, in the patterns' order, then those with at least
    `LEAST_SHARE` of the mock's time; at most `MOST_PARTS`, joined by ``+``. It is derived from what
    the mock launched, so it never says more than the list does; empty where no kernels were
    recorded (ATen calls name no kernel).
    """
    rows = [row for row in kernels if row.mock_count and row.kind == "kernel"]
    named = [row for text in patterns.values() for row in rows if re.search(text, row.name)]
    weights = [row.mock_us if row.mock_us is not None else float(row.mock_count) for row in rows]
    total = sum(weights)
    large = [
        row
        for weight, row in sorted(zip(weights, rows, strict=True), key=lambda pair: -pair[0])
        if total and weight / total >= LEAST_SHARE
    ]
    parts = list(dict.fromkeys(_label(row) for row in (*named, *large)))
    return "+".join(parts[:MOST_PARTS])


def _label(row: KernelRow) -> str:
    """``sm90::fwd::sparse_attn_fwd_kernel`` as ``sparse_attn_fwd``."""
    last = family(row.name).split("::")[-1]
    return re.sub(r"\W+", "_", last.removesuffix("_kernel")).strip("_")


def _corrections(checks: Sequence[CheckResult]) -> tuple[str, ...]:
    """The advice of the first cause of each failed check, strongest first, each once."""
    first = [c.causes[0] for c in checks if c.status is Status.FAIL and c.causes]
    ordered = sorted(first, key=lambda cause: -cause.score)
    return tuple(dict.fromkeys(f"{cause.name}: {cause.advice}" for cause in ordered))
