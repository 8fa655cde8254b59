"""What several checks say in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from harness.align.model import CheckResult, Status
from harness.names import display_name

MOST_DETAILS = 8
"""Lines of detail under a check; the evidence file holds the lists themselves."""


def passed(name: str, reason: str) -> CheckResult:
    """A check that passed."""
    return CheckResult(name, Status.PASS, reason)


def failed(name: str, reason: str, details: Iterable[str] = ()) -> CheckResult:
    """A check that failed, with a limited number of details."""
    return CheckResult(name, Status.FAIL, reason, limited(details))


def skipped(name: str, reason: str) -> CheckResult:
    """A check that could not be made."""
    return CheckResult(name, Status.SKIPPED, reason)


def limited(details: Iterable[str]) -> tuple[str, ...]:
    """At most `MOST_DETAILS` lines and a last one that says how many more there are."""
    lines = list(details)
    if len(lines) <= MOST_DETAILS:
        return tuple(lines)
    return (*lines[:MOST_DETAILS], f"and {len(lines) - MOST_DETAILS} more")


def shown(keys: Sequence[str]) -> str:
    """The first three names, and how many more."""
    names = [display_name(key) for key in keys[:3]]
    return ", ".join(names) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def surplus(one: list[str], other: list[str]) -> Counter[str]:
    """Names that ``one`` has and ``other`` has not, with how often ``one`` has them."""
    there = set(other)
    return Counter(key for key in one if key not in there)


def counted(names: Counter[str]) -> list[str]:
    """``name x3`` lines, most frequent first."""
    return [f"{display_name(name)} x{count}" for name, count in names.most_common()]
