"""Reading a large torch.profiler trace, beside HolisticTraceAnalysis on the same file and machine.

    python -m venv /tmp/peers_hta && /tmp/peers_hta/bin/pip install 'HolisticTraceAnalysis==0.5.*'
    python -m benchmarks.readers_kineto TRACE.json.gz --peer /tmp/peers_hta/bin/python

TRACE is repeated until it has 270 MB. Each reader runs in a process of its own, in turn, and says
how long loading and the breakdown of kernels took and how much memory it had at most. The harness
keeps ATen calls and Python functions only on request (``harness_all_ranges``), HTA always.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.readers_kineto_file import replicate
from benchmarks.results_file import write_result

NAME = "readers_kineto"
FOLDER = Path(__file__).parent / "results" / "cpu"
BYTES = 268_000_000
REPETITIONS = 3
TIMEOUT_S = 600

GOALS = {"times_faster_than_hta": 5.0, "share_of_hta_memory": 0.25}
"""At least, at most."""

GROWTH = (1, 10, 40)
"""Copies of the trace for the table of growth."""


def figures(source: Path, peer: Path | None, repetitions: int = REPETITIONS) -> dict[str, Any]:
    """Measure.

    Args:
        source: a torch.profiler trace of some MB.
        peer: Python of an environment with HolisticTraceAnalysis; None leaves it out.
        repetitions: processes per reader; medians are shown.

    Returns:
        Plain JSON values; ``not_measured`` says what there is not.
    """
    with _replicated(source, BYTES) as (path, copies):
        ours = [sys.executable, "-m", "benchmarks.readers_kineto_ours", str(path)]
        readers = {"harness": ours, "harness_all_ranges": [*ours, "--all-ranges"]}
        if peer is not None:
            readers["hta"] = [str(peer), "-m", "benchmarks.readers_kineto_hta", str(path)]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in readers}
        for _ in range(repetitions):
            for name, command in readers.items():
                runs[name].append(_run(command))
        found: dict[str, Any] = {
            "source": source.name,
            "copies": copies,
            "bytes": path.stat().st_size,
            "cpus": os.cpu_count(),
            "runs": runs,
            "medians": {name: _medians(mine) for name, mine in runs.items()},
        }
    found["growth"] = _growth(source)
    found["not_measured"] = [] if peer else ["HolisticTraceAnalysis: no --peer was given"]
    if peer is not None:
        found["goals"] = _goals(found["medians"])
    return found


@contextmanager
def _replicated(source: Path, size: int) -> Iterator[tuple[Path, int]]:
    """A plain file of about this size, and how many copies of the source it holds."""
    with tempfile.TemporaryDirectory(prefix="harness-kineto-") as folder:
        path = Path(folder) / "trace.json"
        copies = max(1, round(size / replicate(source, path, 1)))
        replicate(source, path, copies)
        yield path, copies


def _run(command: Sequence[str]) -> dict[str, Any]:
    """What a child prints last.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    if done.returncode:
        raise RuntimeError(f"{command[2]} failed: {done.stderr.strip()[-600:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _medians(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {
        "load_and_breakdown_s": median(run["load_s"] + run["breakdown_s"] for run in runs),
        "import_s": median(run["import_s"] for run in runs),
        "peak_rss_mib": median(run["peak_rss_mib"] for run in runs),
    }


def _goals(medians: dict[str, dict[str, float]]) -> dict[str, Any]:
    ours, theirs = medians["harness"], medians["hta"]
    faster = theirs["load_and_breakdown_s"] / ours["load_and_breakdown_s"]
    share = ours["peak_rss_mib"] / theirs["peak_rss_mib"]
    return {
        "bounds": GOALS,
        "times_faster_than_hta": faster,
        "share_of_hta_memory": share,
        "met": faster >= GOALS["times_faster_than_hta"] and share <= GOALS["share_of_hta_memory"],
    }


def _growth(source: Path) -> list[dict[str, Any]]:
    """Time and memory of this reader as the file grows."""
    lines = []
    with tempfile.TemporaryDirectory(prefix="harness-kineto-") as folder:
        for copies in GROWTH:
            path = Path(folder) / "trace.json"
            size = replicate(source, path, copies)
            run = _run([sys.executable, "-m", "benchmarks.readers_kineto_ours", str(path)])
            seconds = run["load_s"] + run["breakdown_s"]
            lines.append(
                {
                    "bytes": size,
                    "kernels": run["kernels"],
                    "load_and_breakdown_s": seconds,
                    "peak_rss_mib": run["peak_rss_mib"],
                }
            )
    return lines


def measure(source: Path, peer: Path | None, out: Path, repetitions: int = REPETITIONS) -> bool:
    """Write the result; arguments as `figures`. False where a goal is missed."""
    found = figures(source, peer, repetitions)
    write_result(NAME, out, found)
    for name, line in found["medians"].items():
        print(f"{name}: {line['load_and_breakdown_s']:.2f} s, {line['peak_rss_mib']:.0f} MiB")
    return bool(found.get("goals", {"met": True})["met"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    sys.exit(not measure(options.trace, options.peer, options.out, options.repetitions))


if __name__ == "__main__":
    main()
