"""What is wrong with a ``[[known]]`` table, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from harness.align.declaration import NEEDS, OF_KERNELS, Declaration

_NO_FINDING = ("", "\x1f")
"""Texts that no kernel and no finding has; an expression that finds one of them names nothing."""

_ENDING = frozenset({"<", "<=", "==", "===", "~="})
"""Operators of a version specifier that end somewhere."""

Problem = tuple[str, str]
"""What is wrong with a declaration, and what to do."""


FIELDS = tuple(Declaration.__dataclass_fields__)
"""Fields of a table."""


def of_fields(table: Any) -> Iterator[Problem]:
    """With names and types of fields: until there is none, no `Declaration` can be made."""
    if not isinstance(table, Mapping):
        yield "is no table", "write [[known]] above its fields"
        return
    for name in table:
        if name not in FIELDS:
            yield f"has an unknown field {name!r}", f"use only {', '.join(FIELDS)}"
    for name in ("name", "reason", "effect", "kernel", "check"):
        if not isinstance(table.get(name, ""), str):
            yield f"has a {name} that is no text: {table[name]!r}", "write it in quotes"
    for name in ("name", "reason", "effect"):
        if not str(table.get(name, "")).strip():
            yield f"needs name, reason and effect, and {name} is missing or empty", f"give {name}"
    texts = table.get("matching", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        yield f"has a matching that is no list of texts: {texts!r}", 'write ["...", "..."]'
    most = table.get("most", 0.5)
    if not isinstance(most, float) or not 0 < most < 1:
        yield f"has a most of {most!r}", "give a fraction above 0 and below 1, such as 0.05"
    if type(table.get("expires", date.min)) is not date:
        yield "has an expiry that is no date", "write it as 2027-03-31, without quotes"
    yield from _of_tables(table)


def _of_tables(table: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the types in ``versions`` and ``case``."""
    from ops.case import Case

    for name, example in (("versions", 'vllm = ">=0.26,<0.27"'), ("case", 'framework = "vllm"')):
        if not isinstance(table.get(name, {}), Mapping):
            yield f"has a {name} that is no table: {table[name]!r}", f"write {{ {example} }}"
    for package, wanted in table.get("versions", {}).items():
        if not isinstance(wanted, str) or not wanted.strip():
            yield f"ties {package} to {wanted!r}", 'write versions as ">=0.26,<0.27"'
    fields = tuple(Case.__dataclass_fields__)
    for name, value in table.get("case", {}).items():
        if name not in fields:
            yield f"has an unknown field of a case {name!r}", f"use only {', '.join(fields)}"
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            yield f"has a case with {name} = {value!r}", "give a text or a whole number"


def of_declaration(one: Declaration) -> Iterator[Problem]:
    """With what it is to cover, and for how long."""
    yield from _of_reach(one)
    yield from _of_end(one)


def _of_reach(one: Declaration) -> Iterator[Problem]:
    """What is wrong with what it is to cover."""
    from harness.align.checks import CHECKS

    if one.check and one.check not in CHECKS:
        yield f"names no check: {one.check!r}", f"use one of {', '.join(NEEDS)}"
    if one.check in OF_KERNELS - NEEDS.keys():
        text = "is about which kernels are launched"
        yield f"names the check {one.check!r}, which {text}", "name the kernels (kernel) instead"
    if one.check and one.check not in NEEDS:
        text = "says whether the recording can be trusted"
        yield f"names the check {one.check!r}, which {text}", "leave it out and record again"
    if not one.kernel and not one.check:
        yield "needs a kernel or a check", "name what it is to cover"
    need = NEEDS.get(one.check, "kernel")
    allowed = {need, "kernel"} if one.check in ("", "launch", "kernel latency") else {need}
    given = {name for name in ("kernel", "matching", "most") if getattr(one, name)}
    of = f"the check {one.check!r}" if one.check else "a kernel without a check"
    if need not in given:
        yield f"needs {need}: it would cover all of {of}", f"say with {need} how much it covers"
    for name in sorted(given - allowed):
        yield f"has {name}, which says nothing of {of}", f"leave out {name}"
    yield from _of_expressions(one)


def _of_expressions(one: Declaration) -> Iterator[Problem]:
    for text in filter(None, (one.kernel, *one.matching)):
        try:
            pattern = re.compile(text)
        except re.error as error:
            yield f"holds an expression that cannot be read: {text!r} ({error})", "mend it"
            return
        find = pattern.search if text == one.kernel else pattern.fullmatch
        if any(find(nothing) for nothing in _NO_FINDING):
            yield f"holds an expression that finds anything: {text!r}", "name what differs"


def _of_end(one: Declaration) -> Iterator[Problem]:
    """What is wrong with the time for which it holds."""
    try:
        bounds = [each.operator for text in one.versions.values() for each in SpecifierSet(text)]
    except InvalidSpecifier as error:
        yield f"holds versions that cannot be read ({error})", 'write them as ">=0.26,<0.27"'
        return
    if one.expires is None and _ENDING.isdisjoint(bounds):
        yield (
            "needs an end, and has no expires and no version below which it holds",
            'give expires = 2027-03-31, or versions with an upper bound such as ">=0.26,<0.27"',
        )
