"""What energy per call has to be good for, and whether a run meets it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.energy_workloads import PAIRS, pair_name
from benchmarks.recorder_goals import Goal
from harness.measure.energy_window import COUNTER, MIN_TICKS

Run = Mapping[str, Any]
"""What `harness.measure.energy.measure_energy` found, or ``error``."""


def spread_percent(runs: Sequence[Run]) -> float | None:
    """Relative standard deviation (n - 1) of J per call, in per cent; None when a run failed."""
    if len(runs) < 2 or any("error" in run for run in runs):
        return None
    joules = [run["energy_j"] for run in runs]
    return float(100 * statistics.stdev(joules) / statistics.mean(joules))


def mean_joules(rounds: Sequence[Mapping[str, Run]], name: str) -> float:
    """J per call of a workload or pair of the sum check."""
    return statistics.mean(line[name]["energy_j"] for line in rounds)


def sum_percent(rounds: Sequence[Mapping[str, Run]], pair: tuple[str, str]) -> float | None:
    """How far J of a pair in one window is from the sum of each alone, in per cent of the sum."""
    runs = [run for line in rounds for run in line.values()]
    if not runs or any("error" in run for run in runs):
        return None
    alone = sum(mean_joules(rounds, name) for name in pair)
    return float(100 * (mean_joules(rounds, pair_name(pair)) / alone - 1))


def goals(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All goals by name, as JSON; a figure that is missing misses its goal."""
    repeated: Mapping[str, Sequence[Run]] = figures["repeated"]
    made = [
        Goal(
            f"spread_{name}",
            0.3,
            spread_percent(runs),
            f"relative standard deviation of J per call over {len(runs)} windows, %",
            strict=True,
        )
        for name, runs in repeated.items()
    ]
    off = sum_percent(figures["sums"], PAIRS[0])
    what = f"J of {pair_name(PAIRS[0])} in one window against the sum of each alone, %"
    made.append(Goal("sum", 2, None if off is None else abs(off), what))
    every = [run for runs in repeated.values() for run in runs]
    ticks = min((run.get("ticks", 0) for run in every), default=0)
    made.append(Goal("ticks", MIN_TICKS, ticks, "fewest ticks in a window", at_most=False))
    others = sum(run.get("source") != COUNTER for run in every)
    made.append(Goal("not_by_counter", 0, others, "windows that are not by the energy counter"))
    for name, line in figures["disturbance"].items():
        made.append(
            Goal(
                f"sampling_{name}",
                0.1,
                abs(line["percent"]),
                "time per call while another process samples the card, change in %",
                required=False,
            )
        )
    return {goal.name: goal.plain() for goal in made}
