"""Rows that a collector wrote, and which benchmark calls each of them rests on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.session.outcome import Outcome

LATENCY = ("latency", "latency_ms")
METRICS = frozenset({*LATENCY, "power", "power_limit", "energy"})
"""Columns that hold figures. Every other column tells one row from another."""

NOT_COLUMNS = frozenset({"item_list", "perf_filename", "power_stats"})
RENAMED = {"device_name": "device"}
"""Argument of ``log_perf`` -> its column."""

BY_POWER = "the power_stats of the call"
BY_LATENCY = "the latency of the call"
BY_ORDER = "the calls since the row before"


@dataclass(frozen=True, eq=False)
class Row:
    """One row.

    Attributes:
        path: the file that it was appended to, absolute.
        key: the columns that identify it, by name.
        metrics: its figures, by column.
        calls: the benchmark calls behind it.
        linked_by: how they were found.
    """

    path: Path
    key: Mapping[str, Any]
    metrics: Mapping[str, Any]
    calls: tuple[Outcome, ...]
    linked_by: str


def rows_of(
    arguments: Mapping[str, Any], calls: Sequence[Outcome], since: Sequence[Outcome]
) -> Iterator[Row]:
    """The rows of one call of a writer; none for an item that no benchmark call stands behind.

    Args:
        arguments: of the writer, by name.
        calls: all benchmark calls so far, oldest first.
        since: those since the writer was called before.
    """
    path = Path(arguments["perf_filename"]).absolute()
    common = {
        RENAMED.get(name, name): value
        for name, value in arguments.items()
        if name not in NOT_COLUMNS
    }
    power = arguments.get("power_stats")
    for item in arguments["item_list"]:
        columns = {**common, **item}
        found, how = _calls_behind(item, power, calls, since)
        if found:
            figures = {name: columns[name] for name in columns if name in METRICS}
            key = {name: columns[name] for name in columns if name not in METRICS}
            yield Row(path, key, figures | _read(power), tuple(found), how)


def _read(power: Any) -> dict[str, Any]:
    return dict(power) if isinstance(power, Mapping) else {}


def _calls_behind(
    item: Mapping[str, Any], power: Any, calls: Sequence[Outcome], since: Sequence[Outcome]
) -> tuple[Sequence[Outcome], str]:
    latencies = [value for name in LATENCY if (value := _number(item.get(name))) is not None]
    for call in reversed(calls):
        if any(math.isclose(call.result["latency_ms"], one, rel_tol=1e-12) for one in latencies):
            return [call], BY_LATENCY
    for call in reversed(calls):
        if power is not None and call.result["power_stats"] is power:
            return [call], BY_POWER
    return since, BY_ORDER


def _number(value: Any) -> float | None:
    try:
        return float(value)  # a writer may have been given text
    except (TypeError, ValueError):
        return None
