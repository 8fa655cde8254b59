"""What an examination finds: findings by topic, and what the harness can do with them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from harness.errors import EXIT_OK, EXIT_UNDECIDED, EXIT_USAGE

LIVE_RECORDING = "live kernel recording (cupti)"
"""The capability that decides the exit code."""


class Status(StrEnum):
    """How a check came out. Problem and absent stand in the way of what needs the thing checked."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    ABSENT = "absent"


@dataclass(frozen=True)
class Outcome:
    """What one check saw.

    Attributes:
        status: how it came out.
        found: what is there, as a phrase.
        fix: what to do, as an imperative; empty when nothing is to be done, or when another
            finding says it.
        busy: another profiler is the reason.
    """

    status: Status
    found: str
    fix: str = ""
    busy: bool = False


def ok(found: str) -> Outcome:
    """All is well."""
    return Outcome(Status.OK, found)


def warning(found: str, fix: str) -> Outcome:
    """It works, with a reservation."""
    return Outcome(Status.WARNING, found, fix)


def problem(found: str, fix: str, *, busy: bool = False) -> Outcome:
    """It is there and does not work."""
    return Outcome(Status.PROBLEM, found, fix, busy)


def absent(found: str, fix: str = "") -> Outcome:
    """It is not there."""
    return Outcome(Status.ABSENT, found, fix)


@dataclass(frozen=True)
class Finding:
    """An `Outcome` with its place in the report; ``name`` is unique."""

    topic: str
    name: str
    status: Status
    found: str
    fix: str = ""
    busy: bool = False

    @property
    def blocks(self) -> bool:
        """Whether what needs this cannot work."""
        return self.status in (Status.PROBLEM, Status.ABSENT)


@dataclass(frozen=True)
class Capability:
    """Something that the harness can do, and the findings that stand in its way here.

    Attributes:
        name: as reports show it.
        blockers: in the order in which they are to be dealt with; empty when it works.
    """

    name: str
    blockers: tuple[Finding, ...] = ()

    @property
    def works(self) -> bool:
        """Whether it would work here."""
        return not self.blockers

    @property
    def exit_code(self) -> int:
        """0 it works, 3 only another profiler is in the way, 2 something is missing."""
        if self.works:
            return EXIT_OK
        return EXIT_UNDECIDED if all(one.busy for one in self.blockers) else EXIT_USAGE


@dataclass(frozen=True)
class Report:
    """All findings, and what follows from them."""

    findings: tuple[Finding, ...]
    capabilities: tuple[Capability, ...]

    @property
    def live_recording(self) -> Capability:
        """The capability that decides the exit code."""
        return next(one for one in self.capabilities if one.name == LIVE_RECORDING)

    @property
    def exit_code(self) -> int:
        """That of live recording."""
        return self.live_recording.exit_code

    @property
    def summary(self) -> str:
        """One sentence without a trailing period."""
        live = self.live_recording
        if live.works:
            devices = (one.found for one in self.findings if one.name == "CUDA device")
            said = f"live kernel recording works here ({next(devices, 'CUDA device')})"
        else:
            first = live.blockers[0]
            why = "another profiler holds CUPTI" if first.busy else f"{first.name}: {first.found}"
            said = f"live kernel recording does not work here: {why}"
        counts = [self._count(Status.PROBLEM), self._count(Status.WARNING)]
        return "; ".join([said, *(count for count in counts if count)])

    def _count(self, status: Status) -> str:
        number = sum(one.status is status for one in self.findings)
        return f"{number} {status}{'s' if number > 1 else ''}" if number else ""
