"""The expected figures of every Nsight Systems export, against what the reader gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from harness.analyze.gaps import gaps
from harness.errors import NoSignalError
from harness.record.files import read_trace_file


def check(data: Path) -> list[dict[str, Any]]:
    """One row per export: its name, ``equal``, and which figures differ.

    Args:
        data: the folder with ``expected.json`` and ``nsys/``.
    """
    expected = json.loads((data / "expected.json").read_text())["nsys"]
    return [_row(data / "nsys" / name, figures) for name, figures in sorted(expected.items())]


def _row(path: Path, expected: dict[str, Any]) -> dict[str, Any]:
    try:
        found = figures_of(path)
    except NoSignalError as error:
        found = {}
        if "kernels" not in expected:
            return {
                "file": path.name,
                "equal": True,
                "abstains": str(error.what.split(" holds ")[-1]),
            }
    wrong = {
        name: [expected[name], found.get(name)]
        for name in NAMES
        if name in expected and expected[name] != found.get(name)
    }
    return {"file": path.name, "equal": not wrong and "kernels" in expected, "differences": wrong}


NAMES = (
    "kernels", "devices", "total_kernel_ns", "wall_ns", "gap_naive_global_ns",
    "gap_naive_per_device_ns", "busy_union_per_device_ns", "idle_union_per_device_ns",
    "idle_union_global_ns",
)  # fmt: skip
"""Figures of expected.json that are compared; its names of kernels are shortened by hand."""


def figures_of(path: Path) -> dict[str, Any]:
    """The figures of one export under the names of expected.json."""
    trace = read_trace_file(path)
    kernels = trace.of_kind("kernel").activities
    found = gaps(trace, naive=True)
    return {
        "kernels": kernels.num_rows,
        "devices": [one.device for one in found.devices],
        "total_kernel_ns": pc.sum(pc.subtract(kernels["end_ns"], kernels["start_ns"])).as_py(),
        "wall_ns": found.overall.wall_ns,
        "gap_naive_global_ns": found.overall.gap_naive_ns,
        "idle_union_global_ns": found.overall.idle_union_ns,
        "gap_naive_per_device_ns": {str(one.device): one.gap_naive_ns for one in found.devices},
        "busy_union_per_device_ns": {str(one.device): one.busy_union_ns for one in found.devices},
        "idle_union_per_device_ns": {str(one.device): one.idle_union_ns for one in found.devices},
    }
