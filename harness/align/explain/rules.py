"""Rules that lead from facts to causes, kept as data (causes.toml)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.align.model import Cause
from harness.analyze.rules import Number, in_words, read_toml
from harness.errors import InputError

SHIPPED = Path(__file__).with_name("causes.toml")
"""The rules of this release."""

SUPPORT = 5
"""What each supporting fact adds to a rule's strength, which lies between 1 and 100."""

LAST_RESORT = 10
"""Strength up to which a rule speaks only where no other does."""

Facts = Mapping[str, Number]
"""Figures by name; None or absent where they are not known."""


@dataclass(frozen=True)
class CauseRule:
    """One way to recognise a cause.

    Attributes:
        cause: its name; several rules may lead to the same.
        checks: names of checks that it explains.
        strength: of the evidence that the required facts are, 1 to 100.
        observation: a sentence with ``{fact}`` in it.
        advice: what to do, as an imperative sentence.
        at_least, below: by fact, the value from which, and under which, it counts; all required.
        supported_by: by fact, the value from which it makes the cause more likely.
    """

    cause: str
    checks: tuple[str, ...]
    strength: int
    observation: str
    advice: str
    at_least: Mapping[str, float] = field(default_factory=dict)
    below: Mapping[str, float] = field(default_factory=dict)
    supported_by: Mapping[str, float] = field(default_factory=dict)

    def holds(self, facts: Facts) -> bool:
        """Whether every required fact is known and on its side of the limit."""
        return all(_reaches(facts.get(name), least) for name, least in self.at_least.items()) and (
            all(_stays_below(facts.get(name), most) for name, most in self.below.items())
        )

    def cause_from(self, facts: Facts) -> Cause:
        """The cause with what these facts say of it."""
        held = [
            name for name, least in self.supported_by.items() if _reaches(facts.get(name), least)
        ]
        named = re.findall(r"{(\w+)}", self.observation)
        used = {name: facts.get(name) for name in (*self.at_least, *self.below, *held, *named)}
        text = re.sub(r"{(\w+)}", lambda m: _words(m[1], facts.get(m[1])), self.observation)
        return Cause(self.cause, text, self.advice, self.strength + SUPPORT * len(held), used)


def _reaches(value: Number, least: float) -> bool:
    return isinstance(value, (int, float)) and value >= least


def _stays_below(value: Number, most: float) -> bool:
    return isinstance(value, (int, float)) and value < most


def _words(name: str, value: Number) -> str:
    return value if isinstance(value, str) else in_words(name, value)


@dataclass(frozen=True)
class Rulebook:
    """What causes.toml holds.

    Attributes:
        rules: in the file's order.
        kernels: class of kernels or ATen calls -> regular expression of their raw names.
        fields: quantity -> where to read it in a call's arguments (see `fields.py`).
        submodules: role -> regular expression of the submodule's path.
        words: topic -> regular expression of the text of a problem.
    """

    rules: tuple[CauseRule, ...]
    kernels: Mapping[str, re.Pattern[str]]
    fields: Mapping[str, Sequence[Mapping[str, Any]]]
    submodules: Mapping[str, re.Pattern[str]]
    words: Mapping[str, re.Pattern[str]]

    def causes(self, check: str, facts: Facts) -> tuple[Cause, ...]:
        """Causes of a check's failure, best supported first; each once.

        Those of the last resort are left out where there are others.
        """
        holding = [rule for rule in self.rules if check in rule.checks and rule.holds(facts)]
        told = [rule for rule in holding if rule.strength > LAST_RESORT]
        made = [rule.cause_from(facts) for rule in told or holding]
        best: dict[str, Cause] = {}
        for cause in sorted(made, key=lambda one: -one.score):
            best.setdefault(cause.name, cause)
        return tuple(best.values())


@lru_cache(maxsize=4)
def read_rulebook(path: Path = SHIPPED) -> Rulebook:
    """Read a file like causes.toml.

    Raises:
        InputError: it cannot be read, or a rule or an expression in it cannot be used.
    """
    document = read_toml(path)
    try:
        rules = tuple(_rule(table) for table in document.get("rule", ()))
        return Rulebook(
            rules,
            _patterns(document.get("kernels", {})),
            document.get("fields", {}),
            _patterns(document.get("submodules", {})),
            _patterns(document.get("words", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise InputError(
            f"{path} holds a rule that cannot be used ({error})",
            fix="compare it with harness/align/explain/causes.toml",
        ) from error


def _rule(table: Mapping[str, Any]) -> CauseRule:
    rule = CauseRule(**{**table, "checks": tuple(table["checks"])})
    for limit in _limits((rule.at_least, rule.below, rule.supported_by)):
        float(limit)
    if not rule.at_least:
        raise ValueError(f"the rule of {rule.cause!r} needs a fact under at_least")
    return rule


def _limits(tables: Iterable[Mapping[str, float]]) -> Iterable[float]:
    return (limit for table in tables for limit in table.values())


def _patterns(table: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    return {name: re.compile(pattern) for name, pattern in table.items()}
