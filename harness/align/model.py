"""The result of an alignment: checks with reasons, a kernel table, one verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from harness.errors import EXIT_DIVERGED, EXIT_OK, EXIT_UNDECIDED


class Status(StrEnum):
    """Outcome of one check."""

    PASS = "pass"
    FAIL = "fail"
    KNOWN = "known"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class Verdict(StrEnum):
    """Outcome of an alignment, from worst to best."""

    INVALID_CAPTURE = "invalid-capture"
    NO_SIGNAL = "no-signal"
    DIVERGED = "diverged"
    INCONCLUSIVE = "inconclusive"
    ALIGNED = "aligned"

    @property
    def exit_code(self) -> int:
        """Exit code of a command whose result this is."""
        if self is Verdict.ALIGNED:
            return EXIT_OK
        return EXIT_DIVERGED if self is Verdict.DIVERGED else EXIT_UNDECIDED

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The verdict that takes precedence; no-signal when there is none."""
        order = list(cls)
        return min(verdicts, key=order.index, default=cls.NO_SIGNAL)


@dataclass(frozen=True)
class Cause:
    """Why a check failed, as far as the evidence goes.

    Attributes:
        name: as in harness/align/explain/causes.toml ("other heads").
        observation: what was seen that speaks for it, with its figures.
        advice: what to do.
        score: strength of the evidence; causes of a check stand in falling order.
        facts: the figures that the rule looked at.
    """

    name: str
    observation: str
    advice: str
    score: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KnownDifference:
    """A declared difference that concerns the case, and what came of it.

    Attributes:
        name: as declared.
        check: the check or kernels that it concerns, with its bounds.
        reason, effect: why it is there, and what it does to numbers that are modelled on the mock.
        expires: last day (ISO 8601) on which it holds; empty where only versions limit it.
        state: ``met``: a failure became known by it; ``not met``: more failed than it covers;
            ``not needed``: nothing that it names was found, so that it can go; ``expired``, ``other
            versions``, ``too wide``: it covered nothing, whatever failed.
        message: what a reader should know of the state.
    """

    name: str
    check: str
    reason: str
    effect: str
    expires: str
    state: str
    message: str = ""


@dataclass(frozen=True)
class Integration:
    """What taking an operator into a database needs to know.

    Attributes:
        conclusion: one sentence: whether its numbers may stand for the model's.
        kernel_source: suggested label of the database row: which kernels really ran.
        corrections: what to change in the mock, most certain first.
    """

    conclusion: str
    kernel_source: str
    corrections: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """One line of the checklist.

    Attributes:
        name: as in the design's table ("names", "latency", ...).
        status: pass, fail, known, inconclusive or skipped.
        reason: why, with the figures, as one sentence without trailing period.
        details: further lines (differing kernels, tensors, ...), already limited in number.
        data: figures for the evidence file.
        causes: of a failed check, best supported first.
    """

    name: str
    status: Status
    reason: str
    details: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True)
class KernelRow:
    """One line of the kernel table: a kernel as both sides ran it.

    Attributes:
        name: the raw name (identity).
        display: shortened for people.
        kind: kernel, memcpy, memset or op.
        mock_count, reference_count: launches per forward.
        mock_us, reference_us: summed duration per forward in microseconds; None where the
            recorder gives no times.
        match: ``=`` same count, ``#`` other count, ``+`` only mock, ``-`` only reference.
    """

    name: str
    display: str
    kind: str
    mock_count: int
    reference_count: int
    mock_us: float | None
    reference_us: float | None
    match: str


@dataclass(frozen=True)
class Alignment:
    """Everything a report shows; reports read it and compute nothing.

    Attributes:
        case: fields of the case, by name.
        verdict: the one word.
        summary: the sentence behind it.
        checks: the checklist in the design's order.
        kernels: the kernel table, longest first.
        recorder: name of the recorder that ran.
        recorder_reason: why that one.
        framework_reason: why that framework.
        sides: per side ("mock", "reference", "in layer"): description, kernel lists, graph,
            measurement, data flow, as plain JSON values.
        environment: versions, GPU, command, relevant environment variables.
        notes: what the reader must know (reduced sizes, what is shared).
        tolerance: latency tolerance as a fraction.
        required: checks that were not allowed to be skipped.
        equivalences: declared classes of names that counted as the same.
        causes: why there is no signal, where there is none.
        known: declared differences, met or not.
        integration: what a database's maintainer needs; None where nothing was compared.
    """

    case: Mapping[str, Any]
    verdict: Verdict
    summary: str
    checks: tuple[CheckResult, ...]
    kernels: tuple[KernelRow, ...] = ()
    recorder: str = ""
    recorder_reason: str = ""
    framework_reason: str = ""
    sides: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tolerance: float = 0.01
    required: tuple[str, ...] = ()
    equivalences: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    known: tuple[KnownDifference, ...] = ()
    integration: Integration | None = None

    def check(self, name: str) -> CheckResult:
        """The check of this name.

        Raises:
            KeyError: there is none.
        """
        for result in self.checks:
            if result.name == name:
                return result
        raise KeyError(name)
