"""The figures of `benchmarks.energy` as Markdown tables."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.energy_goals import mean_joules, spread_percent, sum_percent
from benchmarks.energy_workloads import PAIRS, pair_name
from benchmarks.markdown import table
from benchmarks.recorder_summary import goal_rows

CAPPED = (
    "This pair does not add up, and need not: alone the GEMM is held at the power limit by lower "
    "clocks, at which it needs less energy per call."
)


def sections(figures: Mapping[str, Any]) -> list[str]:
    """Headings and tables, to be put below one another."""
    return [
        "## Energy per call",
        _repeated(figures),
        *(_sum(figures, pair) for pair in PAIRS),
        "GEMM from idle, by averaged power (nvmlDeviceGetPowerUsage read each 100 ms) and by the "
        "energy counter over windows of the same length; deviations are from the GEMM's row above:",
        _averaged(figures["averaged"]),
        "Instant power as a trace from another process, and what sampling the card's state does to "
        "the time of a call:",
        _beside(figures),
        table(["goal", "bound", "measured", "met"], goal_rows(figures["goals"])),
    ]


def _repeated(figures: Mapping[str, Any]) -> str:
    head = ["operator", "windows", "J per call, mean", "spread", "mean W", "ms per call"]
    head += ["ticks", "quantisation error", "power cap ms", "changes of the card"]
    return table(head, [_line(name, figures) for name in figures["repeated"]])


def _line(name: str, figures: Mapping[str, Any]) -> list[str]:
    every, state = figures["repeated"][name], figures["conditions"][name]
    runs = [run for run in every if "error" not in run]
    spread = spread_percent(every)
    if not runs:
        return [name, f"0 of {len(every)}", *["-"] * 7, every[0]["error"] if every else "-"]

    def mean(key: str) -> float:
        return float(statistics.mean(run[key] for run in runs))

    return [
        figures["workloads"][name],
        str(len(runs)),
        f"{mean('energy_j'):.5f}",
        "-" if spread is None else f"{spread:.3f} %",
        f"{mean('power'):.1f}",
        f"{mean('replay_ms'):.4f}",
        str(min(run["ticks"] for run in runs)),
        f"{100 * max(run['quantisation'] for run in runs):.2f} %",
        _capped(state),
        "; ".join(state["changes"]) or "none",
    ]


def _capped(state: Mapping[str, Any]) -> str:
    first, last = (
        (state[when].get("violations_ns") or {}).get("power") for when in ("before", "after")
    )
    return "-" if first is None or last is None else f"{(last - first) / 1e6:.0f}"


def _sum(figures: Mapping[str, Any], pair: tuple[str, str]) -> str:
    rounds, name = figures["sums"], pair_name(pair)
    off = sum_percent(rounds, pair)
    if off is None:
        return f"{name} in one window: not measured."
    alone = sum(mean_joules(rounds, each) for each in pair)
    why = "" if pair == PAIRS[0] else f" {CAPPED}"
    return (
        f"{name} in one window: {mean_joules(rounds, name):.4f} J a pair, the sum of each alone "
        f"{alone:.4f} J, {off:+.2f} %.{why}"
    )


def _averaged(rows: Sequence[Mapping[str, Any]]) -> str:
    pooled: dict[float, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        pooled[row["window_s"]].append(row)
    head = ["window s", "averaged power W", "J per call", "off by"]
    head += ["counter J per call", "off by", "ticks", "quantisation error"]
    return table(head, [_window(seconds, lines) for seconds, lines in pooled.items()])


def _window(seconds: float, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    counted = [line["counter"] for line in lines if "energy_j" in line["counter"]]

    def each(found: Sequence[Mapping[str, Any]], key: str, form: str) -> str:
        return ", ".join(form.format(line[key]) for line in found) or "-"

    usage = [line["power_usage"] for line in lines]
    return [
        f"{seconds:g}",
        each(usage, "power_w", "{:.0f}"),
        each(usage, "energy_j", "{:.4f}"),
        each(usage, "deviation_percent", "{:+.1f} %"),
        each(counted, "energy_j", "{:.4f}"),
        each(counted, "deviation_percent", "{:+.2f} %"),
        each(counted, "ticks", "{}"),
        "-" if not counted else f"{100 * max(line['quantisation'] for line in counted):.1f} %",
    ]


def _beside(figures: Mapping[str, Any]) -> str:
    rows = []
    for name, line in figures["trace"].items():
        changed = figures["disturbance"][name]["percent"]
        shown = (
            [line["error"], *["-"] * 2]
            if "error" in line
            else [
                f"{line['trace_mean_w']:.1f} ({line['readings']} readings)",
                f"{line['power_w']:.1f}",
                f"{line['idle_w']:.1f}",
            ]
        )
        rows.append([name, *shown, f"{changed:+.3f} %"])
    head = ["operator", "trace mean W", "counter W", "idle W before", "ms per call while sampled"]
    return table(head, rows)
