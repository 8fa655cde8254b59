"""Differences that were declared in a file, with a reason and an end.

A declaration names kernels, or a check. Kernels that it names are taken out of both lists and the
checks are made again: what passes then is ``known``. A check that it names becomes known only as
far as the declaration reaches: lines that it matches, or a latency up to ``most``. It never covers
what it does not name; after its expiry, or with other versions, it covers nothing and says so.

    [[known]]
    name = "gather of the positions"
    kernel = "vectorized_gather_kernel"      # or: check = "data flow", matching = ["rotary_emb .*"]
    reason = "the mock gathers cos and sin per call"
    effect = "0.6 % of decode; below the tolerance"
    expires = 2027-03-31                     # or versions, or both
    versions = { vllm = ">=0.26,<0.27" }
    case = { framework = "vllm" }            # optional: only cases whose fields have these values
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from harness.analyze.rules import read_toml
from harness.errors import InputError

MATCHED = ("data flow", "call parity")
"""Checks whose lines can be declared one by one (``matching``)."""

BOUNDED = ("latency",)
"""Checks of one figure, which need ``most``: the largest |mock / reference - 1| that is covered."""


@dataclass(frozen=True)
class Declaration:
    """One ``[[known]]`` table; see the module's text.

    Attributes:
        name, reason, effect: for the reader; none may be empty.
        kernel: regular expression of raw kernel names, or empty.
        check: name of a check, or empty.
        matching: regular expressions, each line of the check has to match one.
        most: of a check in `BOUNDED`, as a fraction.
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

    def ended(self, today: date) -> str:
        """Why it no longer holds, or an empty text."""
        if self.expires is None or today <= self.expires:
            return ""
        return f"expired on {self.expires}: mend the mock, or examine the difference again"

    def other_versions(self, versions: Mapping[str, str]) -> str:
        """Why it does not hold for these versions, or an empty text."""
        for package, wanted in self.versions.items():
            found = versions.get(package)
            if found is None:
                return f"declared for {package} {wanted}, and its version here is not known"
            try:
                fits = SpecifierSet(wanted).contains(Version(found), prereleases=True)
            except InvalidVersion:
                fits = False
            if not fits:
                return f"declared for {package} {wanted}, here is {found}: examine it again"
        return ""

    def concerns(self, case: Mapping[str, Any]) -> bool:
        """Whether the case is one of those it was declared for."""
        return all(case.get(name) == value for name, value in self.case.items())


def read_known(path: Path) -> tuple[Declaration, ...]:
    """The declarations of a TOML file.

    Raises:
        InputError: it cannot be read, or a declaration is not whole; says which and why.
    """
    tables = read_toml(path).get("known", [])
    if not isinstance(tables, list):
        raise InputError(f"{path} holds no [[known]] tables", fix="see harness/align/known.py")
    return tuple(_declaration(table, path, at) for at, table in enumerate(tables, start=1))


def _declaration(table: Any, path: Path, number: int) -> Declaration:
    where = f"known difference {number} of {path}"
    try:
        made = Declaration(**{**table, "matching": tuple(table.get("matching", ()))})
    except (TypeError, AttributeError) as error:
        raise InputError(
            f"{where} has other fields than a declaration ({error})",
            fix=f"use only {', '.join(Declaration.__dataclass_fields__)}",
        ) from error
    problem = _problem(made)
    if problem:
        raise InputError(f"{where} {problem}", fix="see the text of harness/align/known.py")
    return made


def _problem(one: Declaration) -> str:
    from harness.align.checks import CHECKS

    texts = (one.name, one.reason, one.effect, one.kernel, one.check)
    if not all(isinstance(text, str) for text in texts):
        return "has a name, reason, effect, kernel or check that is no text"
    if not all(text.strip() for text in texts[:3]):
        return "needs name, reason and effect"
    if bool(one.kernel) == bool(one.check):
        return "needs a kernel or a check, and not both"
    if one.check and one.check not in CHECKS:
        return f"names a check that does not exist; there are {', '.join(CHECKS)}"
    if bool(one.matching) != (one.check in MATCHED):
        return f"needs matching for the checks {', '.join(MATCHED)}, and for no other"
    bounded = isinstance(one.most, (int, float)) and one.most > 0
    if bounded != (one.check in BOUNDED) or (one.most is not None and not bounded):
        return f"needs most, a fraction, for {', '.join(BOUNDED)}, and for no other check"
    if one.expires is None and not one.versions:
        return "needs an end: expires, versions or both"
    if one.expires is not None and type(one.expires) is not date:
        return "has an expiry that is no date; write it as 2027-03-31, without quotes"
    return _unreadable((one.kernel, *one.matching), one.versions)


def _unreadable(patterns: Sequence[str], versions: Mapping[str, str]) -> str:
    try:
        for pattern in patterns:
            re.compile(pattern)
        for wanted in versions.values():
            SpecifierSet(wanted)
    except (re.error, InvalidSpecifier, TypeError, AttributeError) as error:
        return f"holds an expression or a version that cannot be read ({error})"
    return ""
