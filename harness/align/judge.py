"""From an Observation to a verdict: run the checks, then apply the precedence."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.align.checks import checks_of
from harness.align.model import CheckResult, KernelRow, Status, Verdict
from harness.align.observation import Observation
from harness.align.table import kernel_table

NOTHING = "not made: there is nothing to compare"


@dataclass(frozen=True)
class Judgement:
    """Verdict, the sentence behind it, the checklist and the kernel table."""

    verdict: Verdict
    summary: str
    checks: tuple[CheckResult, ...]
    kernels: tuple[KernelRow, ...]


def judge(observed: Observation) -> Judgement:
    """Make the checks of `harness.align.checks.checks_of` and derive the verdict.

    Precedence: invalid-capture > no-signal > diverged > inconclusive > aligned.
    """
    made = checks_of(observed)
    silent = _silence(observed)
    if silent:
        checks = tuple(CheckResult(name, Status.SKIPPED, NOTHING) for name in made)
        if observed.losses:
            text = f"{silent}; the records are not complete: {'; '.join(observed.losses)}"
            return Judgement(Verdict.INVALID_CAPTURE, text, checks, ())
        return Judgement(Verdict.NO_SIGNAL, silent, checks, ())
    checks = tuple(_required(check(observed), observed) for check in made.values())
    verdict, summary = verdict_of(observed, checks)
    return Judgement(verdict, summary, checks, kernel_table(observed))


def _silence(observed: Observation) -> str:
    """Why there is nothing to compare; empty when there is."""
    if observed.reference is None:
        return f"no reference: {observed.reference_missing}"
    for side, trace in zip((observed.mock, observed.reference), observed.lists, strict=True):
        if not len(trace):
            return f"the {side.label} launched nothing that was recorded"
    return ""


def _required(result: CheckResult, observed: Observation) -> CheckResult:
    if result.status is Status.SKIPPED and result.name in observed.required:
        return replace(result, status=Status.INCONCLUSIVE, reason=f"required, but {result.reason}")
    return result


def verdict_of(observed: Observation, checks: tuple[CheckResult, ...]) -> tuple[Verdict, str]:
    """The verdict that follows from the checks, and the sentence behind it."""
    if observed.losses:
        return Verdict.INVALID_CAPTURE, f"the records are not complete: {observed.losses[0]}"
    failures = [result.name for result in checks if result.status is Status.FAIL]
    if failures:
        return Verdict.DIVERGED, f"{', '.join(failures)} failed; {_named(checks, failures[0])}"
    open_ones = [result.name for result in checks if result.status is Status.INCONCLUSIVE]
    if open_ones:
        text = f"{', '.join(open_ones)} undecided; {_named(checks, open_ones[0])}"
        return Verdict.INCONCLUSIVE, text
    done = sum(result.status is Status.PASS for result in checks)
    declared = [result.name for result in checks if result.status is Status.KNOWN]
    known = f", known differences: {', '.join(declared)}" if declared else ""
    left = [result.name for result in checks if result.status is Status.SKIPPED]
    skipped = f", skipped: {', '.join(left)}" if left else ""
    return Verdict.ALIGNED, f"{done} of {len(checks)} checks pass{known}{skipped}"


def _named(checks: tuple[CheckResult, ...], name: str) -> str:
    return next(f"{result.name}: {result.reason}" for result in checks if result.name == name)
