"""Rules with thresholds, kept as data, and what they say about the numbers of a Trace."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.names import display_name

Number = int | float | str | None
"""A figure or a name; None where the Trace cannot tell."""

_NAME_WIDTH = 80


class Status(StrEnum):
    """What came of a rule."""

    FOUND = "found"
    CLEAR = "clear"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Rule:
    """A finding that is made when every number passes its threshold.

    Attributes:
        name: such as ``launch-bound``.
        statement: a sentence with ``{number}`` in it.
        advice: what to do about it, as an imperative sentence.
        at_least: by number, the value from which it counts.
        below: by number, the value under which it counts.
    """

    name: str
    statement: str
    advice: str
    at_least: Mapping[str, float] = field(default_factory=dict)
    below: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What a rule says about one Trace.

    Attributes:
        rule: its name.
        status: found, clear, or unknown where a number that it needs is not in the Trace.
        statement: the sentence with its numbers; of an unknown one, what is missing.
        numbers: the evidence; times in ns (``_ns``), shares between 0 and 1 (``_share_of_...``).
        thresholds: the condition on each number that decides, as ``>= 0.2``.
        advice: what to do about it; empty unless found.
    """

    rule: str
    status: Status
    statement: str
    numbers: Mapping[str, Number]
    thresholds: Mapping[str, str]
    advice: str = ""


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The ``[[rule]]`` tables of a TOML file.

    Raises:
        InputError: it cannot be read or a rule has other fields than those of `Rule`.
    """
    return rules_of(read_toml(path), path)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises:
        InputError: it cannot be read or is no TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read {path} ({error})", fix="pass a TOML file") from error


def rules_of(document: Mapping[str, Any], path: Path) -> tuple[Rule, ...]:
    """The rules of a document that `read_toml` read; raises InputError as `read_rules`."""
    tables = document.get("rule", [])
    try:
        rules = tuple(Rule(**table) for table in tables)
        for rule in rules:
            for limit in (*rule.at_least.values(), *rule.below.values()):
                float(limit)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} holds a rule that cannot be used ({error})",
            fix="give each [[rule]] name, statement, advice, and numbers in at_least and below",
        ) from error
    return rules


def judge(
    rules: Sequence[Rule], numbers: Mapping[str, Number], why_unknown: Mapping[str, str]
) -> list[Finding]:
    """Apply each rule; in the rules' order.

    Args:
        rules: what to look for.
        numbers: every figure by name; None or absent where the Trace cannot tell.
        why_unknown: by number, why it is None.
    """
    return [_judge(rule, numbers, why_unknown) for rule in rules]


def _judge(rule: Rule, numbers: Mapping[str, Number], why_unknown: Mapping[str, str]) -> Finding:
    thresholds = {name: f">= {limit:g}" for name, limit in rule.at_least.items()}
    thresholds |= {name: f"< {limit:g}" for name, limit in rule.below.items()}
    used = {name: numbers.get(name) for name in (*thresholds, *_named_in(rule.statement))}
    missing = [name for name in thresholds if not isinstance(used[name], (int, float))]
    if missing:
        reasons = dict.fromkeys(why_unknown.get(name, f"no {name}") for name in missing)
        return Finding(rule.name, Status.UNKNOWN, "; ".join(reasons), used, thresholds)
    holds = all(float(used[name] or 0) >= limit for name, limit in rule.at_least.items()) and all(
        float(used[name] or 0) < limit for name, limit in rule.below.items()
    )
    status = Status.FOUND if holds else Status.CLEAR
    statement = _filled(rule, used)
    return Finding(rule.name, status, statement, used, thresholds, rule.advice if holds else "")


def _named_in(statement: str) -> list[str]:
    return [part.partition("}")[0] for part in statement.split("{")[1:]]


def _filled(rule: Rule, numbers: Mapping[str, Number]) -> str:
    text = rule.statement
    # Not str.format: a name out of a file may hold braces.
    parts = text.split("{")
    out = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        out += [in_words(name, numbers.get(name)), rest]
    return "".join(out)


def in_words(name: str, value: Number) -> str:
    """A number as a sentence has it: times by their size, shares in %, names of kernels short.

    ``summed_over_devices`` is an addition to a sentence, and nothing for one device.
    """
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return display_name(value, width=_NAME_WIDTH)
    if name == "summed_over_devices":
        return f", summed over {value} devices" if value > 1 else ""
    if "_share_of_" in name:
        return f"{100 * value:.1f} %"
    if name.endswith("_ns"):
        return _scaled(value, ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")))
    if name.endswith("_bytes"):
        return _scaled(value, _BYTES)
    if name.endswith("_bytes_per_s"):
        return _scaled(value, _BYTES) + "/s"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _scaled(value: float, units: Sequence[tuple[float, str]]) -> str:
    for factor, unit in units:
        if abs(value) >= factor > 1:
            return f"{value / factor:.2f} {unit}"
    return f"{value:.0f} {units[-1][1]}"


_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes"))
