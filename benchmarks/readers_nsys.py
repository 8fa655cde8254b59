"""Speed of reading Nsight Systems exports, side by side, each way in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.readers_child import WAYS
from benchmarks.readers_replicate import replicate

SOURCE = "nsys2025.3_t4_power_iteration_nvtx.sqlite"
SIZES = (100_000, 1_000_000, 5_000_000)

GOAL_S, GOAL_BYTES = 4.0, 1 << 30
"""For the largest export: read, kernel summary and union gaps, on 2 cores."""

GOAL_WAY = "harness, no launch configurations"
"""Reads what these figures need: kernels, copies, names. The script beside it reads no copies."""

_CHILD = Path(__file__).with_name("readers_child.py")
_ROOT = Path(__file__).parent.parent


def measure(
    data: Path, folder: Path, peers: Path | None, sizes: tuple[int, ...], repeats: int, limit_s: int
) -> list[dict[str, Any]]:
    """Rows of the table: way, kernels, seconds (median), all seconds, peak RSS, figures.

    The exports are read once before, so that all find them in the page cache. Every repetition
    goes through all ways, so that what else the machine does falls on all of them.

    Args:
        data: folder that holds ``nsys/``.
        folder: where the large exports are made; they are kept.
        peers: Python that has nsys-ai; None leaves it out.
    """
    rows: list[dict[str, Any]] = []
    for size in sizes:
        export = replicate(data / "nsys" / SOURCE, size, folder)
        _warm(export)
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(repeats):
            for way in WAYS:
                peer = way.startswith("nsys-ai")
                if peer and peers is None:
                    continue
                if any("error" in run for run in runs.get(way, ())):
                    continue
                run = _peer(peers, way, export, limit_s) if peer else _own(way, export, limit_s)
                runs.setdefault(way, []).append(run)
                print(f"{size:>9} {way:32} {run.get('seconds', run.get('error'))}", flush=True)
        rows += [_row(way, size, export, done) for way, done in runs.items()]
    return rows


def _warm(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def _own(way: str, export: Path, limit_s: int) -> dict[str, Any]:
    return _run(sys.executable, way, export, limit_s)


def _peer(python: Path | None, way: str, export: Path, limit_s: int) -> dict[str, Any]:
    """nsys-ai adds indexes to the file that it is given: so it gets one of its own, each time."""
    copy = export.with_name("peer.sqlite")
    shutil.copyfile(export, copy)
    try:
        return _run(str(python), way, copy, limit_s)
    finally:
        for made in export.parent.glob("peer.*"):
            made.unlink()


def _run(python: str, way: str, export: Path, limit_s: int) -> dict[str, Any]:
    """One process: what it printed, its peak resident memory, or its error."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    command = ["timeout", str(limit_s), python, str(_CHILD), way, str(export)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        out, err = child.communicate()
    if child.returncode:
        last = err.strip().splitlines()[-1:] or [f"ended with {child.returncode}"]
        reason = f"longer than {limit_s} s" if child.returncode == 124 else last[0]
        return {"error": reason}
    return dict(json.loads(out.splitlines()[-1]))


def _row(way: str, size: int, export: Path, runs: list[dict[str, Any]]) -> dict[str, Any]:
    row = {"way": way, "kernels": size, "file_bytes": export.stat().st_size}
    errors = [run["error"] for run in runs if "error" in run]
    if errors:
        return {**row, "error": errors[0]}
    seconds = [run["seconds"] for run in runs]
    middle = runs[seconds.index(sorted(seconds)[len(seconds) // 2])]
    return {
        **row,
        **{key: value for key, value in middle.items() if key not in ("seconds", "rss_bytes")},
        "seconds": statistics.median(seconds),
        "seconds_all": seconds,
        "peak_rss_bytes": max(run["rss_bytes"] for run in runs),
    }


def missed(rows: list[dict[str, Any]]) -> list[str]:
    """Goals that the largest export misses."""
    largest = max(row["kernels"] for row in rows)
    (mine,) = (row for row in rows if row["way"] == GOAL_WAY and row["kernels"] == largest)
    if largest < SIZES[-1]:
        return []
    found = []
    if mine.get("seconds", GOAL_S + 1) > GOAL_S:
        found.append(f"{GOAL_WAY}: {mine.get('seconds', mine.get('error'))} s, goal {GOAL_S} s")
    if mine.get("peak_rss_bytes", 0) > GOAL_BYTES:
        found.append(f"{GOAL_WAY}: {mine['peak_rss_bytes']} bytes of memory, goal {GOAL_BYTES}")
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [f"{'way':32} {'kernels':>9} {'seconds':>8} {'peak MiB':>9}"]
    for row in rows:
        cells = row.get("error") or f"{row['seconds']:8.2f} {row['peak_rss_bytes'] / 2**20:9.0f}"
        lines.append(f"{row['way']:32} {row['kernels']:>9} {cells}")
    return "\n".join(lines)
