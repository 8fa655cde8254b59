"""Which role a range plays in weight streaming, by patterns of names kept in a TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analyze.rules import Rule, read_toml, rules_of
from harness.errors import InputError

SHIPPED = Path(__file__).with_name("streaming.toml")
"""The patterns and rules of this release."""

LAYER, PREFETCH, EVICTION = "layer", "prefetch", "eviction"
"""Roles that the report asks for by name; others are up to the file."""

HIT, MISS = "hit", "miss"

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Match:
    """What a range's name says.

    Attributes:
        role: of the file's ``[roles]``.
        pattern: the one that matched.
        layer: the first number that a ``*`` of it stands for; None without one.
    """

    role: str
    pattern: str
    layer: int | None


@dataclass(frozen=True)
class Patterns:
    """Patterns of range names, and rules.

    Attributes:
        roles: role -> patterns, in order of precedence.
        lookups: ``hit`` and ``miss`` -> patterns.
        rules: findings to make.
    """

    roles: Mapping[str, tuple[str, ...]]
    lookups: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]

    def match(self, name: str) -> Match | None:
        """The role of a range of this name. A layer without a number is none."""
        for role, patterns in self.roles.items():
            for pattern in patterns:
                found = _whole(pattern).fullmatch(name)
                layer = _first_number(found.groups()) if found else None
                if found and (layer is not None or role != LAYER):
                    return Match(role, pattern, layer)
        return None

    def looked_up(self, name: str) -> set[str]:
        """Which of ``hit`` and ``miss`` a range or mark of this name is."""
        return {
            kind
            for kind, patterns in self.lookups.items()
            if any(_whole(pattern).fullmatch(name) for pattern in patterns)
        }


def read_patterns(path: Path | None = None) -> Patterns:
    """Read a file like streaming.toml; that itself without a path.

    Raises:
        InputError: it cannot be read, or a role is no list of names.
    """
    source = path or SHIPPED
    document = read_toml(source)
    roles = _lists(document.get("roles", {}), source)
    if LAYER not in roles:
        raise InputError(
            f"{source} has no patterns for the role {LAYER!r}", fix="add it under [roles]"
        )
    return Patterns(roles, _lists(document.get("lookups", {}), source), rules_of(document, source))


def _lists(table: Any, path: Path) -> dict[str, tuple[str, ...]]:
    fine = isinstance(table, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in table.values()
    )
    if not fine:
        raise InputError(
            f"{path} has a role that is not a list of names",
            fix='write it as load = ["ensure_layer_*"]',
        )
    return {role: tuple(names) for role, names in table.items()}


def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile("(.*?)".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def _first_number(parts: tuple[str, ...]) -> int | None:
    found = next(filter(None, map(_NUMBER.search, parts)), None)
    return int(found[0][:18]) if found else None
