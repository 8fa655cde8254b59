"""A child of `benchmarks.readers`: one way to read one export, timed; prints one line of JSON.

Runs under the harness' Python or, for nsys-ai, under that of its own environment: so it imports
nothing but what the way needs.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"

SELF_JOIN = f"""
WITH k AS (SELECT start, "end", row_number() OVER (ORDER BY start) AS n FROM {KERNELS})
SELECT sum(max(0, b.start - a."end")) FROM k AS a JOIN k AS b ON b.n = a.n + 1
"""
"""The naive gap as the manuals of the field write it."""

Work = Callable[[str], Any]


def harness(leave_out: tuple[str, ...]) -> Work:
    """Read, kernel summary, union and naive gaps."""
    from harness.analyze import kernel_summary
    from harness.analyze.gaps import gaps
    from harness.record.files.nsys import read_nsys_sqlite

    def work(path: str) -> Any:
        began = time.perf_counter()
        trace = read_nsys_sqlite(path, leave_out=leave_out)
        read = time.perf_counter()
        summary = kernel_summary(trace)
        summed = time.perf_counter()
        found = gaps(trace, naive=True).overall
        return {
            "read_s": read - began,
            "summary_s": summed - read,
            "gaps_s": time.perf_counter() - summed,
            "names": summary.num_rows,
            "idle_union_ns": found.idle_union_ns,
            "gap_naive_ns": found.gap_naive_ns,
        }

    return work


def plain(path: str) -> Any:
    """The script that one would write: sqlite3 rows into NumPy, a summary, both gaps."""
    import numpy as np

    with sqlite3.connect(path) as file:
        rows = file.execute(
            f'SELECT start, "end", demangledName FROM {KERNELS} ORDER BY start'
        ).fetchall()
        start, end, name = np.array(rows, np.int64).T
        order = np.argsort(name, kind="stable")
        names, first = np.unique(name[order], return_index=True)
        total = np.add.reduceat((end - start)[order], first)
    covered = np.maximum.accumulate(end)
    idle = np.maximum(0, start[1:] - covered[:-1]).sum()
    naive = np.maximum(0, start[1:] - end[:-1]).sum()
    return {
        "names": len(names),
        "total_kernel_ns": int(total.sum()),
        "idle_union_ns": int(idle),
        "gap_naive_ns": int(naive),
    }


def self_join(path: str) -> Any:
    """The naive gap alone."""
    with sqlite3.connect(path) as file:
        return {"gap_naive_ns": file.execute(SELF_JOIN).fetchone()[0]}


def nsys_ai(skill: str) -> Work:
    """A skill of nsys-ai on a plain sqlite3 connection, with the indexes that it builds at first.

    Its command line goes through DuckDB or a cache of Parquet files, which is not measured here.
    """
    from importlib import import_module

    found = import_module(f"nsys_ai.skills.builtins.{skill}").SKILL

    def work(path: str) -> Any:
        with sqlite3.connect(path) as file:
            return {"rows": len(found.execute(file))}

    return work


WAYS: dict[str, Callable[[], Work]] = {
    "harness": lambda: harness(("regions", "calls")),
    "harness, no launch configurations": lambda: harness(
        ("regions", "calls", "launch configurations")
    ),
    "harness, everything": lambda: harness(()),
    "sqlite3 + NumPy script": lambda: plain,
    "SQL self-join, naive gap only": lambda: self_join,
    "nsys-ai top_kernels": lambda: nsys_ai("top_kernels"),
    "nsys-ai gpu_idle_gaps": lambda: nsys_ai("gpu_idle_gaps"),
}


def main() -> None:
    """``readers_child.py WAY FILE``."""
    way, path = sys.argv[1:3]
    work = WAYS[way]()
    began = time.perf_counter()
    result = work(path)
    taken = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts KiB
    print(json.dumps({**result, "seconds": taken, "rss_bytes": peak}))


if __name__ == "__main__":
    main()
