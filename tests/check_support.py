"""Hand-made lists of launches for tests of checks: one dictionary per launch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.align.observation import Observation, SideObservation
from harness.trace import Trace, TraceInfo, activities_table, regions_table

BETWEEN_FORWARDS_NS = 10**9
Launch = dict[str, Any]


def sequence(names: Sequence[str], duration_ns: int = 10_000, **fields: Any) -> list[Launch]:
    """One launch after the other, 1 us apart."""
    step = duration_ns + 1_000
    return [
        {"name": name, "start_ns": at * step, "end_ns": at * step + duration_ns, **fields}
        for at, name in enumerate(names)
    ]


def forwards(
    launches: Sequence[Launch], count: int = 1, noise: float = 0.0, seed: int = 0
) -> list[Trace]:
    """So many forwards of these launches, whose durations scatter."""
    dice = random.Random(seed)
    return [_forward(launches, number, noise, dice) for number in range(count)]


def _forward(launches: Sequence[Launch], number: int, noise: float, dice: random.Random) -> Trace:
    rows = []
    for launch in launches:
        row = {"kind": "kernel", "stream": 7, "grid": [8, 1, 1], "block": [128, 1, 1], "region": 1}
        row |= launch
        if row.get("start_ns") is not None:
            spent = (row["end_ns"] - row["start_ns"]) * (1 + dice.gauss(0, noise))
            row["start_ns"] += number * BETWEEN_FORWARDS_NS
            row["end_ns"] = row["start_ns"] + round(spent)
        rows.append(row)
    regions = regions_table([{"id": 1, "name": "forward"}])
    return Trace(activities_table(rows), TraceInfo("cupti"), regions)


def in_regions(launches: Sequence[Launch], names: Sequence[str]) -> Trace:
    """One forward in which each launch lies in a region of its own name."""
    known = {name: at for at, name in enumerate(dict.fromkeys(names), 2)}
    rows = [{**one, "region": known[name]} for one, name in zip(launches, names, strict=True)]
    regions = [{"id": at, "name": name, "parent": 1} for name, at in known.items()]
    table = regions_table([{"id": 1, "name": "forward"}, *regions])
    return replace(forwards(rows)[0], regions=table)


class Side(SideObservation):
    """A side whose forwards are given as they are."""

    def __init__(self, label: str, given: Sequence[Trace]) -> None:
        super().__init__(label, label, eager=given[-1])
        self.__dict__["eager_forwards"] = list(given)


def observed(mock: Sequence[Trace], reference: Sequence[Trace], **more: Any) -> Observation:
    """Both sides with these forwards, read from files."""
    return Observation(Side("mock", mock), Side("reference", reference), live=False, **more)
