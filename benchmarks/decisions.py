"""How often a paired decision is wrong, beside the collectors' way, on the same pairs.

    python -m benchmarks.decisions --shard a --seconds 240
    python -m benchmarks.decisions --shard dsa --seconds 240 --operators dsa_512,dsa_4096
    python -m benchmarks.decisions --merge

A shard is a file of its own with seeds of its own, written every few decisions; started again it
goes on. ``--merge`` pools all shards. Pairs are equal, or the mock takes 0.5 to 2 % longer, by a
calibrated spin kernel in each of its samples.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import sys
import time
import traceback
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.decisions_operators import OPERATORS, SYNTHETIC, Operator
from benchmarks.decisions_pool import goals, pooled
from benchmarks.decisions_stream import PLANTED, TOLERANCES, Bench, Condition
from benchmarks.results_file import DEFAULT_FOLDER, write_result

SHARDS = "decisions"
WRITE_EVERY_S = 10.0
MODES = ("graph", "eager")
EAGER_EVERY = 4
COLLECTORS = (
    "the collectors' way: 3 warm-ups, mean of 6 runs of one call, one side after the other, the "
    "first instances of the same pair; a planted share is multiplied to the mock's time"
)


def conditions(operators: Sequence[Operator]) -> Iterator[Condition]:
    """Every condition of the operators, round after round without end, shortest first.

    Eager samples of operators below 20 us, which take the longest, are in every fourth round.
    """
    for number in itertools.count():
        for operator, mode in itertools.product(operators, MODES):
            if mode == "graph" or not operator.rarely_eager or number % EAGER_EVERY == 0:
                yield Condition(operator, mode)


def seed_of(shard: str, number: int) -> int:
    """Seed of a draw: another for each shard and number."""
    return zlib.crc32(f"{shard}/{number}".encode())


def read_shard(path: Path) -> list[dict[str, Any]]:
    """The pairs of a shard; none where there is no file yet."""
    if not path.exists():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text())["figures"]["pairs"]
    return found


def environment_of(path: Path) -> dict[str, Any]:
    """Where and with what a shard was measured."""
    found: dict[str, Any] = json.loads(path.read_text())["environment"]
    return found


def write_shard(path: Path, figures: dict[str, Any]) -> None:
    """Write a shard's file as a whole or not at all."""
    beside = path.parent / f".{path.stem}.part"
    with contextlib.redirect_stdout(io.StringIO()):
        written = write_result(path.stem, beside, figures)
    written.replace(path)
    beside.rmdir()


def run_shard(path: Path, operators: Sequence[Operator], seconds: float, bench: Bench) -> int:
    """Decide pairs until time is up; how many the shard holds now."""
    shard, start = path.stem, time.monotonic()
    pairs, problems = read_shard(path), list[str]()
    written = start
    for number, condition in enumerate(conditions(operators)):
        if number * len(PLANTED) < len(pairs):  # a shard that goes on has those already
            continue
        if time.monotonic() - start > seconds:
            break
        try:
            pairs.extend(bench.decide(condition, seed_of(shard, number)))
        except Exception:  # noqa: BLE001  what was decided is kept, and the failure is in the file
            problems.append(traceback.format_exc(limit=6))
            traceback.print_exc()
            break
        if time.monotonic() - written > WRITE_EVERY_S:
            write_shard(path, {"pairs": pairs, "problems": problems})
            written = time.monotonic()
    write_shard(path, {"pairs": pairs, "problems": problems})
    print(f"{shard}: {len(pairs)} pairs, {time.monotonic() - start:.0f} s")
    return len(pairs) if not problems else -1


def merge(folder: Path) -> dict[str, Any]:
    """The figures of all shards in ``folder``."""
    paths = sorted(folder.glob("*.json"))
    shards = {path.stem: read_shard(path) for path in paths}
    pairs = [pair for shard in shards.values() for pair in shard]
    lines = pooled(pairs)
    return {
        "shards": {name: len(shard) for name, shard in shards.items()},
        "environments": {path.stem: environment_of(path) for path in paths},
        "tolerances": list(TOLERANCES),
        "collectors": COLLECTORS,
        "operators": {name: each.title for name, each in OPERATORS.items()},
        "lines": lines,
        "goals": goals(lines),
    }


def main() -> None:
    """Run one shard, or pool them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shard", help="name of the file")
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--operators", default=",".join(SYNTHETIC))
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    a = parser.parse_args()
    folder = a.out / SHARDS
    if not a.merge and not a.shard:
        parser.error("name a --shard, or --merge them")
    if a.shard:
        unknown = set(a.operators.split(",")) - set(OPERATORS)
        if unknown:
            parser.error(f"no operators {', '.join(unknown)}; there are {', '.join(OPERATORS)}")
        chosen = [OPERATORS[name] for name in a.operators.split(",")]
        folder.mkdir(parents=True, exist_ok=True)
        failed = run_shard(folder / f"{a.shard}.json", chosen, a.seconds, Bench()) < 0
        if failed:
            sys.exit(1)
    if a.merge:
        figures = merge(folder)
        write_result("decisions", a.out, figures)
        sys.exit(not all(goal["met"] for goal in figures["goals"]))


if __name__ == "__main__":
    main()
