"""Energy per call: how well it repeats, whether it adds up, and what other readings say.

    python -m benchmarks.energy --out OUT

About 190 s on an H200; --quick takes about 40 s and says nothing about goals. Ends with 1 when a
required goal is missed; with --quick, when a window failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.energy_goals import goals
from benchmarks.energy_readings import compared, disturbance, traced
from benchmarks.energy_table import sections
from benchmarks.energy_workloads import Workload, workloads
from benchmarks.recorder_goals import missed
from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.measure.card_changes import card_changes
from harness.measure.conditions import read_card
from harness.measure.energy import measure_energy
from harness.measure.model import Conditions


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        repetitions: windows per workload, for the spread.
        seconds: of each; None takes the default number of ticks.
        warm_s: replayed before them, not kept: a card that warms up draws more.
        sum_rounds: times that each alone and both are measured in turn.
        sum_s: seconds of each of those windows.
        windows: seconds -> how many windows of averaged power.
        trace_s: seconds of the trace.
    """

    repetitions: int = 10
    seconds: float | None = None
    warm_s: float = 3.0
    sum_rounds: int = 2
    sum_s: float = 2.0
    windows: Mapping[float, int] = field(default_factory=lambda: {0.3: 2, 1.0: 2, 2.0: 1, 5.0: 1})
    trace_s: float = 2.0


QUICK = Sizes(3, 0.5, 0.5, 1, 0.5, {0.3: 1, 1.0: 1}, 0.5)


def window(workload: Workload, seconds: float | None) -> dict[str, Any]:
    """One window; what was found, or ``error``."""
    found, reason = measure_energy(workload.replay, min_duration_s=seconds)
    return {"error": reason} if found is None else found


def repeated(workload: Workload, sizes: Sizes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Windows one after the other on a warm card, and the state of the card around them."""
    window(workload, sizes.warm_s)
    before, problem = read_card(busy=True)
    runs = [window(workload, sizes.seconds) for _ in range(sizes.repetitions)]
    after, later = read_card(busy=True)
    state = Conditions(before, after, unavailable=problem or later)
    return runs, asdict(state) | {"changes": card_changes(state)}


def summed(made: Mapping[str, Workload], sizes: Sizes) -> list[dict[str, Any]]:
    """Each alone and both together, in turn."""
    return [
        {name: window(workload, sizes.sum_s) for name, workload in made.items()}
        for _ in range(sizes.sum_rounds)
    ]


def measured(made: Mapping[str, Workload], sizes: Sizes) -> dict[str, Any]:
    """Everything that goes into the file but the goals."""
    alone = {name: made[name] for name in ("gemm", "dsa")}
    runs, states = {}, {}
    for name, workload in alone.items():
        runs[name], states[name] = repeated(workload, sizes)
        print(f"{name}: {len(runs[name])} windows")
    joules = [run["energy_j"] for run in runs["gemm"] if "energy_j" in run]
    mean = sum(joules) / len(joules) if joules else float("nan")
    return {
        "sizes": asdict(sizes) | {"windows": [list(pair) for pair in sizes.windows.items()]},
        "workloads": {name: workload.what for name, workload in made.items()},
        "repeated": runs,
        "conditions": states,
        "sums": summed(made, sizes),
        "averaged": compared(made["gemm"], dict(sizes.windows), mean) if joules else [],
        "trace": {name: traced(workload, sizes.trace_s) for name, workload in alone.items()},
        "disturbance": {name: disturbance(workload) for name, workload in alone.items()},
    }


def errors(figures: Mapping[str, Any]) -> list[str]:
    """Why windows have no figure."""
    runs = [run for each in figures["repeated"].values() for run in each]
    runs += [run for line in figures["sums"] for run in line.values()]
    return [run["error"] for run in runs if "error" in run]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--quick", action="store_true", help="a smoke run: energy_quick.json")
    options = parser.parse_args(arguments)
    with workloads() as made:
        figures = measured(made, QUICK if options.quick else Sizes())
    figures |= {"quick": options.quick, "goals": goals(figures)}
    write_result("energy_quick" if options.quick else "energy", options.out, figures)
    print("\n\n".join(sections(figures)))
    print(*errors(figures), sep="\n")
    return int(bool(errors(figures) if options.quick else missed(figures["goals"])))


if __name__ == "__main__":
    sys.exit(main())
