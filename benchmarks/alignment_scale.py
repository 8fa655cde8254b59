"""Align two kernel lists of a million launches: seconds, memory, edits recovered.

    python -m benchmarks.alignment_scale --out OUT

The cases of `CASES` are of the edit script alone, which finds what differs; `STRUCTURAL` is what
the tool does with it: two Traces of such lists go through every check of the lists, with regions,
neighbours and launch configurations. Goal for both: under `GOAL_SECONDS` and `GOAL_MIB`.

Each case runs in a process of its own with two cores. A planted edit is recovered when the script
changes the list within `NEAR` launches of it and, over all, no more launches than were planted:
such a script is as short as the planted one, and each of its edits belongs to one that was planted.
Where a kernel repeats, the same result comes of an edit beside the planted one.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.alignment_lists import Planted, edited, model_list
from benchmarks.alignment_traces import observation
from benchmarks.process_memory import peak_rss_mib
from benchmarks.results_file import write_result
from harness.align.checks import CHECKS
from harness.align.pairs import Pairing, pair_lists

FOLDER = Path(__file__).parent / "results" / "cpu"
LENGTH = 1_000_000
NEAR = 66
"""Launches of a layer: how far an edit of a repeated kernel may slide."""

GOAL_SECONDS, GOAL_MIB = 10, 2048

STRUCTURAL = "all structural checks, 1000 edits"
CHECKED = ("names", "counts", "order", "missing", "extra", "fusion", "launch")

Lists = tuple[list[str], list[str], list[Planted]]


def _edits(count: int, seed: int) -> Lists:
    original = model_list(LENGTH, seed)
    return (original, *edited(original, count, seed))


def _every_layer() -> Lists:
    """In each layer one kernel replaced and one added: the same two edits some 15,000 times."""
    original = model_list(LENGTH, 0)
    layer = original[-1000:]
    replaced, followed = layer[0], layer[1]
    changed = []
    for name in original:
        changed.append("other" if name == replaced else name)
        if name == followed:
            changed.append("added")
    return original, changed, []


def _unlike() -> Lists:
    """Nothing but chance in common: the same names in any order."""
    dice = random.Random(0)
    one, other = ([f"kernel_{dice.randrange(120)}" for _ in range(LENGTH)] for _ in range(2))
    return one, other, []


CASES: dict[str, Callable[[], Lists]] = {
    **{f"1000 edits, seed {seed}": lambda seed=seed: _edits(1000, seed) for seed in range(5)},
    "no edit": lambda: _edits(0, 0),
    "10000 edits": lambda: _edits(10_000, 0),
    "two edits in every layer": _every_layer,
    "nothing in common but names": _unlike,
}


def recovered(pairing: Pairing, planted: list[Planted]) -> int:
    """How many planted edits have an edit of the script within `NEAR` launches."""
    starts = [edit.start for edit in pairing.edits]
    ends = [edit.stop for edit in pairing.edits]
    found = 0
    for one in planted:
        at = bisect.bisect_left(ends, one.position - NEAR)
        found += at < len(starts) and starts[at] <= one.position + NEAR
    return found


def changed_launches(pairing: Pairing) -> int:
    """Launches that the script takes out and puts in."""
    return sum(edit.size for edit in pairing.edits)


def measure(name: str) -> dict[str, Any]:
    """One case, in this process."""
    original, changed, planted = CASES[name]()
    before = peak_rss_mib()
    start, cpu = time.perf_counter(), time.process_time()
    pairing = pair_lists(original, changed)
    related = len(pairing.related)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return {
        "case": name,
        "launches": [len(original), len(changed)],
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "peak_rss_mib": round(peak_rss_mib()),
        "rss_before_mib": round(before),
        "planted_edits": len(planted),
        "planted_launches": sum(1 + (one.kind == "replace") for one in planted),
        "recovered_edits": recovered(pairing, planted),
        "script_edits": len(pairing.edits),
        "script_launches": changed_launches(pairing),
        "family_pairs": related,
        "script_gives_the_other": pairing.applied() == changed,
    }


def measure_checks() -> dict[str, Any]:
    """Every structural check of two Traces, in this process; peak memory holds the Traces too."""
    original, changed, planted = _edits(1000, 0)
    observed = observation(changed, original)
    before = peak_rss_mib()
    start, cpu = time.perf_counter(), time.process_time()
    results, each = {}, {}
    for name in CHECKED:  # the first also takes what all use: identities, streams, the edit script
        begun = time.perf_counter()
        results[name] = CHECKS[name](observed)
        each[name] = round(time.perf_counter() - begun, 3)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_rss_mib()
    return {
        "case": STRUCTURAL,
        "launches": [len(original), len(changed)],
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "seconds_of_each": each,
        "peak_rss_mib": round(peak),
        "rss_before_mib": round(before),
        "planted_edits": len(planted),
        "recovered_edits": recovered(observed.matching[0].pairing, planted),
        "changes_after_folding": len(observed.changes),
        "statuses": {name: str(result.status) for name, result in results.items()},
        "within_the_goal": seconds < GOAL_SECONDS and peak < GOAL_MIB,
    }


def main() -> None:
    """Each case in a child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--case", default="", help="one case, in this process")
    given = parser.parse_args()
    if given.case:
        alone = given.case == STRUCTURAL
        print(json.dumps(measure_checks() if alone else measure(given.case)))
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    rows = []
    for name in (STRUCTURAL, *CASES):
        command = [sys.executable, "-m", "benchmarks.alignment_scale", "--case", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout))
        print(rows[-1])
    write_result("alignment_scale", given.out, rows)


if __name__ == "__main__":
    main()
