"""One declared difference: what it names, for which cases, and how long it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

NEEDS = {
    "launch": "kernel",
    "data flow": "matching",
    "call parity": "matching",
    "graph": "matching",
    "latency": "most",
    "kernel latency": "most",
    "numerics": "most",
    "overlap": "most",
}
"""Checks whose findings can be declared, and the field that says which findings."""

OF_KERNELS = frozenset(
    {
        "names", "counts", "order", "missing", "extra", "fusion",
        "repeats", "graph", "overlap", "in layer",
    }
)  # fmt: skip
"""Checks of which kernels are launched: known by the kernels that are declared."""

BETWEEN = " and "
"""Between the versions of one package where sides were recorded with different ones."""


@dataclass(frozen=True)
class Declaration:
    """One ``[[known]]`` table; the text of `harness.align.known` says what it covers.

    Attributes:
        name, reason, effect: for the reader; none may be empty.
        kernel: regular expression that is searched in raw kernel names, or empty.
        check: name of a check, or empty.
        matching: regular expressions; each finding of the check has to match one in full.
        most: of a check that has a figure, as a fraction.
        expires: last day on which it holds.
        versions: package -> PEP 440 specifiers.
        case: fields of the case and the values that they must have.
    """

    name: str
    reason: str
    effect: str
    kernel: str = ""
    check: str = ""
    matching: tuple[str, ...] = ()
    most: float | None = None
    expires: date | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    case: Mapping[str, Any] = field(default_factory=dict)

    @property
    def concern(self) -> str:
        """What it names, with its bounds: ``latency up to 5%``, ``launch of kernel gather``."""
        kernel = self.kernel and f"kernel {self.kernel}"
        text = " of ".join(part for part in (self.check, kernel) if part)
        if self.most is not None:
            text += f" up to {self.most:.4g}"
        return text + (f" in {', '.join(self.matching)}" if self.matching else "")

    @property
    def is_presence(self) -> bool:
        """Whether it covers that kernels are launched or not (and no check in particular)."""
        return bool(self.kernel) and not self.check

    def finds(self, name: str) -> bool:
        """Whether it names a kernel; a declaration without ``kernel`` names them all."""
        return re.search(self.kernel, name) is not None

    def matches(self, *texts: str) -> bool:
        """Whether ``matching`` covers a finding, which may be told in several ways."""
        return any(re.fullmatch(pattern, text) for pattern in self.matching for text in texts)

    def ended(self, today: date) -> str:
        """Why it no longer holds, or an empty text."""
        if self.expires is None or today <= self.expires:
            return ""
        return f"expired on {self.expires}: mend the mock, or examine the difference again"

    def other_versions(self, versions: Mapping[str, str]) -> str:
        """Why it does not hold for these versions, or an empty text.

        Args:
            versions: package -> version; several, joined by `BETWEEN`, all have to fit.
        """
        for package, wanted in self.versions.items():
            found = versions.get(package)
            if found is None:
                return f"declared for {package} {wanted}, and its version here is not known"
            if not all(_fits(one, wanted) for one in found.split(BETWEEN)):
                return f"declared for {package} {wanted}, here is {found}: examine it again"
        return ""

    def concerns(self, case: Mapping[str, Any]) -> bool:
        """Whether the case is one of those it was declared for."""
        return all(case.get(name) == value for name, value in self.case.items())


def versions_of_all(*sides: Mapping[str, str]) -> dict[str, str]:
    """The versions by which a comparison of recordings is judged: those known of every side.

    Args:
        sides: versions by package, as each side was recorded with; for files those of the
            evidence or of `TraceInfo.versions`, never those of the machine that compares.

    Returns:
        Package -> version; where sides differ all of theirs, so that a tie has to hold for each.
    """
    if not sides:
        return {}
    packages = set.intersection(*(set(side) for side in sides))
    return {
        package: BETWEEN.join(dict.fromkeys(side[package] for side in sides))
        for package in sorted(packages)
    }


def _fits(version: str, wanted: str) -> bool:
    try:
        return SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
