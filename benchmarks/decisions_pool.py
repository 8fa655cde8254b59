"""Shards of decisions pooled: error rates with Clopper-Pearson bounds, goals, tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scipy import stats

from benchmarks.decisions_operators import OPERATORS

Record = Mapping[str, Any]

GOALS: tuple[tuple[float, float, str, float], ...] = (
    (0.01, 0.0, "at most", 0.005),
    (0.01, 0.005, "at most", 0.01),
    (0.01, 0.015, "at least", 0.95),
    (0.01, 0.02, "at least", 0.99),
    (0.005, 0.0, "at most", 0.01),
    (0.005, 0.01, "at least", 0.95),
)
"""Tolerance, planted ratio, and how often it may or must be called outside."""

FEWEST, FEWEST_LONG = 600, 40
MOST_SECONDS, MOST_SECONDS_LONG = 1.0, 10.0

HEAD = (
    "tolerance", "planted", "operators", "decisions", "outside [95 %]", "inside", "undecided",
    "instances a side, median", "median s", "the collectors' way: outside [95 %]",
)  # fmt: skip
GOAL_HEAD = ("tolerance", "planted", "operators", "outside", "bound", "decisions", "met")


def rate(hits: int, count: int) -> dict[str, Any]:
    """A share with its 95 % Clopper-Pearson bounds."""
    if not count:
        return {"hits": 0, "count": 0, "share": None, "low": None, "high": None}
    bounds = stats.binomtest(hits, count).proportion_ci(method="exact")
    return {
        "hits": hits,
        "count": count,
        "share": hits / count,
        "low": float(bounds.low),
        "high": float(bounds.high),
    }


def pooled(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One line per tolerance, planted ratio and group of operators or modes."""
    groups: dict[str, Callable[[Record], bool]] = {
        "up to 1.5 ms": lambda r: (
            OPERATORS[r["operator"]].pooled and not OPERATORS[r["operator"]].long
        ),
        "15 ms": lambda r: OPERATORS[r["operator"]].long,
    }
    short = groups["up to 1.5 ms"]
    for mode in ("graph", "eager"):
        groups[f"{mode}, up to 1.5 ms"] = lambda r, m=mode: short(r) and r["mode"] == m  # type: ignore[misc]
    for name in dict.fromkeys(r["operator"] for r in records):
        groups[name] = lambda r, n=name: r["operator"] == n  # type: ignore[misc]
    lines = []
    for group, belongs in groups.items():
        chosen = [record for record in records if belongs(record)]
        for key in sorted({(d["tolerance"], r["planted"]) for r in chosen for d in r["decisions"]}):
            lines.append({"group": group, **_line(chosen, *key)})
    return lines


def _line(records: Iterable[Record], tolerance: float, planted: float) -> dict[str, Any]:
    chosen = [
        (decision, record)
        for record in records
        for decision in record["decisions"]
        if (decision["tolerance"], record["planted"]) == (tolerance, planted)
    ]
    said = [decision["decision"] for decision, _ in chosen]
    collectors = sum(abs(record["collectors_ratio"] - 1) > tolerance for _, record in chosen)
    return {
        "tolerance": tolerance,
        "planted": planted,
        "outside": rate(said.count("outside"), len(said)),
        "inside": said.count("inside") / len(said),
        "undecided": said.count("undecided") / len(said),
        "instances": statistics.median(decision["instances"] for decision, _ in chosen),
        "median_s": statistics.median(decision["seconds"] for decision, _ in chosen),
        "collectors_outside": rate(collectors, len(chosen)),
    }


def goals(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every goal of error rates and of time, as measured."""
    found = []
    by_key = {(line["group"], line["tolerance"], line["planted"]): line for line in lines}
    for group, fewest, most_s in (
        ("up to 1.5 ms", FEWEST, MOST_SECONDS),
        ("15 ms", FEWEST_LONG, MOST_SECONDS_LONG),
    ):
        for tolerance, planted, way, bound in GOALS:
            line = by_key.get((group, tolerance, planted))
            share = line["outside"]["share"] if line else None
            kept = share is not None and (share <= bound if way == "at most" else share >= bound)
            count = line["outside"]["count"] if line else 0
            quick = line is not None and line["median_s"] < most_s
            found.append(
                {
                    "group": group,
                    "tolerance": tolerance,
                    "planted": planted,
                    "outside": share,
                    "bound": f"{way} {bound:.1%}",
                    "decisions": count,
                    "enough": count >= fewest,
                    "kept": kept,
                    "quick": quick,
                    "met": kept and quick and count >= fewest,
                }
            )
    return found


def rows(lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The lines for a table with `HEAD`."""
    return [
        [
            f"{line['tolerance']:.1%}",
            f"{line['planted']:+.1%}",
            line["group"],
            str(line["outside"]["count"]),
            _share(line["outside"]),
            f"{line['inside']:.1%}",
            f"{line['undecided']:.1%}",
            f"{line['instances']:.0f}",
            f"{line['median_s']:.2f}",
            _share(line["collectors_outside"]),
        ]
        for line in lines
    ]


def goal_rows(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The goals for a table with `GOAL_HEAD`."""
    return [
        [
            f"{goal['tolerance']:.1%}",
            f"{goal['planted']:+.1%}",
            goal["group"],
            "-" if goal["outside"] is None else f"{goal['outside']:.2%}",
            goal["bound"],
            f"{goal['decisions']}{'' if goal['enough'] else ' (too few)'}",
            "yes" if goal["met"] else "no",
        ]
        for goal in found
    ]


def _share(found: Mapping[str, Any]) -> str:
    if found["share"] is None:
        return "-"
    return f"{found['share']:.2%} [{found['low']:.2%}, {found['high']:.2%}]"
