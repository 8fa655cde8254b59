"""Children's figures pooled per peer and part, and shown as a table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Summary = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By peer, then part: ``figures`` (name -> median, min, max, n), sizes, problems."""

HEAD = (
    "part", "peer", "launch µs", "added µs", "node µs", "start µs",
    "to data µs", "per record µs", "no sync, per record µs", "records", "lost", "bytes per record",
)  # fmt: skip

RESIDUAL_HEAD = (
    "part", "peer", "untraced launch µs before", "after", "untraced node µs before", "after",
    "first recording, start µs", "first recording, to data µs",
)  # fmt: skip
RESIDUAL_PARTS = ("eager", "graph", "dsa_eager", "dsa_graph")


def summarised(children: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Pool the values of all repetitions of each peer and part; children that failed add none."""
    pooled: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for child in children:
        for name, part in child.get("parts", {}).items():
            values = pooled[child["peer"], name]
            for figure, given in part["values"].items():
                values[figure] += given
            line = found[child["peer"]].setdefault(name, {"children": 0, "problems": []})
            line["children"] += 1
            line["problems"] = sorted({*line["problems"], *part["problems"]})
            for size in ("records_requested", "calls", "nodes_per_call"):
                line[size] = part[size]
    for (peer, part), values in pooled.items():
        found[peer][part]["figures"] = {
            figure: {
                "median": statistics.median(given),
                "min": min(given),
                "max": max(given),
                "n": len(given),
            }
            for figure, given in values.items()
        }
    return {peer: dict(parts) for peer, parts in found.items()}


def failures(children: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each child that was skipped or failed."""
    return [
        f"{child['workload']}, {child['peer']}, repetition {child['repetition']}: {what}"
        for child in children
        if (what := child.get("error") or child.get("skipped"))
    ]


def figure(summary: Summary, peer: str, part: str, name: str, which: str = "median") -> Any:
    """One figure, or None where there is none."""
    figures = summary.get(peer, {}).get(part, {}).get("figures", {})
    return figures.get(name, {}).get(which)


def _shown(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _row(summary: Summary, peer: str, part: str) -> list[str]:
    def median(name: str) -> float | None:
        found: float | None = figure(summary, peer, part, name)
        return found

    launch, bare = median("launch_us"), figure(summary, "nothing", part, "launch_us")
    added = None if launch is None or bare is None else launch - bare
    resting = median("at_rest_bytes_per_record")
    grown = median("rss_bytes_per_record")
    size = _shown(resting, 0) if resting is not None else f"{_shown(grown, 0)} (RSS)"
    if peer == "nothing":
        return [part, peer, _shown(launch), "-", _shown(median("node_us")), *["-"] * 7]
    return [
        part,
        peer,
        _shown(launch),
        _shown(added),
        _shown(median("node_us")),
        _shown(median("start_us"), 0),
        _shown(median("usable_us"), 0),
        _shown(median("usable_us_per_record"), 3),
        _shown(median("usable_unsynchronised_us_per_record"), 3),
        _shown(summary[peer][part]["records_requested"], 0),
        _shown(figure(summary, peer, part, "lost", "max"), 0),
        size,
    ]


def rows(summary: Summary) -> list[list[str]]:
    """Lines of the table under `HEAD`, part by part."""
    order: dict[str, list[str]] = {}
    for peer, parts in summary.items():
        for part in parts:
            order.setdefault(part, []).append(peer)
    return [_row(summary, peer, part) for part, peers in order.items() for peer in peers]


def residual_rows(summary: Summary) -> list[list[str]]:
    """Lines under `RESIDUAL_HEAD`: untraced cost before and after, and the first recording."""
    names = ("before_launch_us", "after_launch_us", "before_node_us", "after_node_us")
    digits = (2, 2, 2, 2, 0, 0)
    return [
        [part, peer]
        + [
            _shown(figure(summary, peer, part, name), places)
            for name, places in zip(
                (*names, "first_start_us", "first_usable_us"), digits, strict=True
            )
        ]
        for part in RESIDUAL_PARTS
        for peer, parts in summary.items()
        if part in parts
    ]


def goal_rows(goals: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Lines of a table of goals: name, goal, measured, met."""
    verdicts = {True: "yes", False: "no", None: "not measured"}
    return [
        [
            name if line["required"] else f"{name} (wished)",
            line["goal"],
            _shown(line["measured"], 3),
            verdicts[line["met"]],
        ]
        for name, line in goals.items()
    ]


def text_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns padded to their width."""
    every = [list(head), *[list(line) for line in lines]]
    widths = [max(len(line[at]) for line in every) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in every
    )
