"""How often `kernel latency` names a kernel of equal recordings, and how small a change it finds.

    python -m benchmarks.kernel_latency_splits --out OUT

Replays of one layer (tests/data/nsys_h200_replays.parquet: vLLM's DSA layer, H200, nsys) are split
at random into two sides; in the second series one launch of one side is made slower. Timed by nsys
in one process, so this says nothing about what another process or other addresses change.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_file import write_result
from harness.align.checks.kernel_clocks import TOLERANCE
from harness.align.checks.kernel_latency import CONFIDENCE, differences
from harness.align.durations import Floats, launch_ns
from tests.replays_support import replays

FOLDER = Path(__file__).parent / "results" / "cpu"
SPLITS = 1000
LONG_NS = 5_000


def phase(name: str, forwards: int) -> dict[str, Any]:
    """Both series for one phase, with so many forwards a side."""
    dice = random.Random(0)
    durations = launch_ns(replays(name))
    named = sum(bool(_outside(*_split(durations, forwards, dice))) for _ in range(SPLITS))
    return {
        "phase": name,
        "forwards_a_side": forwards,
        "launches": durations.shape[1],
        "splits": SPLITS,
        "splits_with_a_kernel_named": named,
        "found_of_long_kernels": {
            f"{slower:.0%} slower": _power(durations, forwards, slower, dice)
            for slower in (0.1, 0.2, 0.5)
        },
    }


def halves(name: str) -> dict[str, Any]:
    """First and second half of the recording: largest difference of medians."""
    durations = launch_ns(replays(name))
    one, other = (np.median(part, axis=0) for part in np.split(durations, 2))
    apart, long = np.abs(one / other - 1), other >= LONG_NS
    return {
        "phase": name,
        "median": float(np.median(apart)),
        "largest_of_5_us_or_more": float(apart[long].max()),
        "largest_of_shorter": float(apart[~long].max()),
    }


def _power(durations: Floats, forwards: int, slower: float, dice: random.Random) -> float:
    """Share of splits in which one slower launch of `LONG_NS` or more is named."""
    long = np.flatnonzero(np.median(durations, axis=0) >= LONG_NS).tolist()
    found = 0
    for _ in range(SPLITS // 5):
        mock, reference = _split(durations, forwards, dice)
        at = dice.choice(long)
        mock[:, at] *= 1 + slower
        found += at in _outside(mock, reference)
    return found / (SPLITS // 5)


def _split(durations: Floats, forwards: int, dice: random.Random) -> tuple[Floats, Floats]:
    rows = dice.sample(range(len(durations)), 2 * forwards)
    return durations[rows[:forwards]].copy(), durations[rows[forwards:]]


def _outside(mock: Floats, reference: Floats) -> list[int]:
    launches = mock.shape[1]
    pairs = [(at, at) for at in range(launches)]
    found, _ = differences(mock, reference, pairs, [""] * launches)
    return [at for at, one in enumerate(found) if one.outside]


def main() -> None:
    """Both phases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args()
    names = ("decode", "prefill")
    figures = {
        "tolerance": TOLERANCE,
        "confidence": CONFIDENCE,
        "splits": [phase(name, forwards) for name in names for forwards in (3, 5, 10)],
        "halves": [halves(name) for name in names],
    }
    for line in (*figures["splits"], *figures["halves"]):
        print(line)
    write_result("kernel_latency_splits", given.out, figures)


if __name__ == "__main__":
    main()
