"""Whether the reader gives the figures that were computed independently for the real traces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.analyze.gaps import gaps
from harness.analyze.summaries import kernel_summary
from harness.record.files.kineto import read_kineto_rank

_LONGEST = 5
_NAME = 90
"""Names are cut in expected.json, some after these many characters."""


def check(data: Path) -> list[dict[str, Any]]:
    """Compare each file of ``data/kineto`` with ``data/expected.json``.

    Returns:
        A row per file: ``file``, ``kernels``, ``equal`` and ``differences`` (name: [found,
        expected]); times in µs.
    """
    known = json.loads((data / "expected.json").read_text())["kineto"]
    return [_compare(data / "kineto" / name, figures) for name, figures in known.items()]


def _compare(path: Path, expected: dict[str, Any]) -> dict[str, Any]:
    one = read_kineto_rank(path)
    found = gaps(one.trace, naive=True)
    idle = found.overall
    longest = kernel_summary(one.trace).slice(0, _LONGEST).to_pylist()
    figures = {
        "kernels": idle.kernels,
        "streams": found.streams.num_rows,
        "total_kernel_us": idle.total_kernel_ns / 1000,
        "wall_us": idle.wall_ns / 1000,
        "gap_naive_us": (idle.gap_naive_ns or 0) / 1000,
        "idle_union_us": idle.idle_union_ns / 1000,
        "gpu": one.trace.info.gpu.get("name"),
        "rank": one.rank,
        "top5": [
            [row["Name"][:_NAME], row["Instances"], row["Total Time (ns)"] / 1000]
            for row in longest
        ],
    }
    expected = expected | {
        "rank": expected["distributedInfo"].get("rank"),
        "top5": [[name[:_NAME], *rest] for name, *rest in expected["top5"]],
    }
    differences = {
        key: [value, expected[key]] for key, value in figures.items() if value != expected[key]
    }
    return {
        "file": path.name,
        "kernels": idle.kernels,
        "equal": not differences,
        "differences": differences,
    }
