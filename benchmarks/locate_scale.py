"""How long it takes to locate an operator in a million launches, and whether all are found.

    python -m benchmarks.locate_scale --out benchmarks/results/cpu

The Trace is made: 61 layers of 60 launches of the operator and 40 around it, one kernel before and
one after them in each step; one operator in ten has a launch more, one in ten a launch less. Worst
cases beside it: a mock of one kernel, and lists that repeat within themselves.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_file import write_result
from harness.locate import Request, locate
from harness.trace import Trace, TraceInfo, activities_table

LAYERS, OPERATOR, AROUND = 61, 60, 40


def trace_of(names: list[str]) -> Trace:
    """Kernels of these names, 1.5 us long every 2 us, on one stream."""
    count = len(names)
    starts = np.arange(count) * 2000
    columns = {
        "kind": ["kernel"] * count,
        "name": names,
        "start_ns": starts,
        "end_ns": starts + 1500,
        "process": np.full(count, 1),
        "device": np.zeros(count, np.int64),
        "stream": np.full(count, 7),
    }
    return Trace(activities_table(columns), TraceInfo("made"))


def model(steps: int, operator: list[str], seed: int = 0) -> tuple[list[str], list[int]]:
    """Names of a model's launches and where each operator begins."""
    choose = random.Random(seed)
    around = [f"_Z{at}aroundv" for at in range(AROUND)]
    names: list[str] = []
    begins: list[int] = []
    for _ in range(steps):
        names.append("_Z5embedv")
        for _ in range(LAYERS):
            copy = list(operator)
            if choose.random() < 0.1:  # never at an end, so that the place is known
                copy.insert(choose.randrange(1, len(copy)), "_Z5extrav")
            if choose.random() < 0.1:
                del copy[choose.randrange(1, len(copy) - 1)]
            begins.append(len(names))
            names += copy + around
        names.append("_Z6argmaxv")
    return names, begins


def timed(what: str, names: list[str], mock: list[str]) -> tuple[dict[str, Any], list[int]]:
    """Figures of one search, and where the occurrences begin."""
    trace, request = trace_of(names), Request(mock=trace_of(mock))
    start = time.perf_counter()
    found = locate(trace, request)
    row = {
        "what": what,
        "launches": len(names),
        "mock": len(mock),
        "found": len(found.occurrences),
        "seconds": round(time.perf_counter() - start, 3),
        "steps": found.steps_rule,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    return row, [one.position for one in found.occurrences]


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=164, help="164 steps are a million launches")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    # a third of the names come twice, as small kernels do
    operator = [f"_Z{at % 40}opv" for at in range(OPERATOR)]
    names, begins = model(given.steps, operator)
    row, positions = timed("61 layers with edits", names, operator)
    rows = [{**row, "planted": len(begins), "at_their_places": positions == begins}]
    in_turn = ["_Z1kv", "_Z1xv"] * 100_000
    rows.append(timed("a mock of one kernel", in_turn, ["_Z1kv"])[0])
    rows.append(
        # an odd number, or the mock would be taken for 33 forwards of two kernels
        timed("two kernels in turn", in_turn, [*["_Z1kv", "_Z1xv"] * 33, "_Z1kv"])[0]
    )
    for line in rows:
        print(line)
    write_result("locate_scale", given.out, rows)


if __name__ == "__main__":
    main()
