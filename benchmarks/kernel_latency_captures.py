"""What another capture does to each kernel of the same layer, and whether the check names it.

    python -m benchmarks.kernel_latency_captures --out OUT          # needs an NVIDIA GPU

Mock and reference of a case launch the same. Each is captured several times, in other memory each
time, and every two captures are held against each other: how far the medians of a launch are apart,
in how many pairs of captures `kernel latency` names a launch (none should be), and how many
launches of one side that are made slower it finds.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_file import DEFAULT_FOLDER, write_result
from harness.align.checks.kernel_clocks import LONG_US, Difference
from harness.align.checks.kernel_latency import differences
from harness.align.durations import Floats, launch_ns
from harness.align.forwards import split_forwards
from harness.compare.job import Job
from harness.compare.options import Options
from harness.compare.recording import record_replays
from harness.measure.graph import capture
from harness.names import identity_keys
from harness.record.choose import choose_recorder
from ops.case import Case, Phase
from ops.registry import choose_framework, operator

BOUNDS_US = (0.0, 1.0, 2.0, LONG_US, 10.0, 50.0, 200.0, float("inf"))
"""Of the classes of durations in the table."""


def captured(
    framework: str, phase: Phase, captures: int, replays: int
) -> tuple[list[Floats], list[str]]:
    """Durations of every launch in every replay, a table per capture, and the launches' names."""
    op = operator("dsa")
    adapter, _ = choose_framework(op, framework)
    recorder, why = choose_recorder("cupti", "cuda")
    options = Options("cuda", recorder, why, replays=replays)
    batch, new = (8, 1) if phase == "generation" else (1, 4096)
    case = Case(op.name, phase, 8, batch, new, 4096, framework=adapter.name)
    sides = Job(op, case, adapter).build("cuda")
    found: list[Floats] = []
    keys: list[str] = []
    try:
        for _, side in itertools.product(range(captures), (sides.mock, sides.reference)):
            with recorder.watch_captures():
                graph = capture(side)
            try:
                forwards = split_forwards(record_replays(graph, options))
            finally:
                graph.close()
            found.append(launch_ns(forwards))
            keys = identity_keys(forwards[-1])
    finally:
        sides.close()
        gc.collect()
    return found, keys


def moved(tables: Sequence[Floats]) -> list[dict[str, Any]]:
    """By class of duration: how far two captures are apart, against the typical launch."""
    medians = [np.median(table, axis=0) / 1000 for table in tables]
    lengths, ratios = [], []
    for one, other in itertools.combinations(medians, 2):
        shift = np.log(one / other)
        ratios.append(np.exp(np.abs(shift - np.median(shift))))
        lengths.append(np.sqrt(one * other))
    length, ratio = np.concatenate(lengths), np.concatenate(ratios)
    rows = []
    for low, high in itertools.pairwise(BOUNDS_US):
        here = ratio[(length >= low) & (length < high)] - 1
        if len(here):
            figures = {"median": np.median(here), "p99": np.quantile(here, 0.99), "max": here.max()}
            rounded = {name: round(float(value), 4) for name, value in figures.items()}
            rows.append({"from_us": low, "launches": len(here), **rounded})
    return rows


def judged(tables: Sequence[Floats], keys: Sequence[str], replays: int) -> dict[str, Any]:
    """What the check says of equal sides with so many replays, and of slower launches."""
    named, noisy = 0, []
    pairs = list(itertools.permutations(tables, 2))
    for one, other in pairs:
        found = _differences(one[:replays], other[:replays], keys)
        named += any(each.outside for each in found)
        noisy.append(sum(each.open for each in found))
    return {
        "replays": replays,
        "pairs_of_captures": len(pairs),
        "pairs_with_a_kernel_named": named,
        "too_noisy_to_say": float(np.median(noisy)),
        "found": {f"{slower:.0%} slower": _found(pairs, keys, replays, slower)
                  for slower in (0.3, 0.6, 1.0)},
    }  # fmt: skip


def _found(
    pairs: Sequence[tuple[Floats, Floats]], keys: Sequence[str], replays: int, slower: float
) -> float:
    """Share of the pairs in which one launch, another each time, is named when it is slower."""
    dice, hits = random.Random(0), 0
    for one, other in pairs:
        at = dice.randrange(len(keys))
        mock = one[:replays].copy()
        mock[:, at] *= 1 + slower
        hits += _differences(mock, other[:replays], keys)[at].outside
    return round(hits / len(pairs), 3)


def _differences(one: Floats, other: Floats, keys: Sequence[str]) -> list[Difference]:
    return differences(one, other, [(at, at) for at in range(len(keys))], keys)[0]


def main() -> None:
    """Both frameworks, both phases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frameworks", default="transformers,vllm")
    parser.add_argument("--captures", type=int, default=4, help="of each side")
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    given = parser.parse_args()
    rows = []
    phases: tuple[Phase, ...] = ("context", "generation")
    for framework, phase in itertools.product(given.frameworks.split(","), phases):
        tables, keys = captured(framework, phase, given.captures, given.replays)
        row = {"framework": framework, "phase": phase, "launches": len(keys)}
        row["judged"] = [judged(tables, keys, count) for count in (5, given.replays)]
        rows.append({**row, "moved": moved(tables)})
        print(rows[-1], flush=True)
    write_result("kernel_latency_captures", given.out, rows)


if __name__ == "__main__":
    main()
