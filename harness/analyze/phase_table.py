"""Steps of one phase put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

PHASES = pa.schema(
    [
        pa.field("process", pa.int32()),
        pa.field("device", pa.int32()),
        pa.field("phase", pa.string()),
        pa.field("steps", pa.int64()),  # all, those that are cut too
        pa.field("warm_up", pa.int64()),
        pa.field("steady", pa.int64()),
        # of the steady steps; null without any
        pa.field("kernels_median", pa.float64()),
        pa.field("kernel_ns_median", pa.float64()),
        pa.field("wall_ns_median", pa.float64()),
        pa.field("wall_ns_min", pa.int64()),
        pa.field("wall_ns_max", pa.int64()),
        pa.field("utilisation", pa.float64()),  # the sum of busy_union_ns / the sum of wall_ns
    ]
)
"""Columns of the table of phases."""

Row = Mapping[str, Any]


def phase_table(steps: Sequence[Row]) -> pa.Table:
    """Sum up rows of `harness.analyze.step_table.STEPS` by process, device and phase."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in steps:
        groups.setdefault((row["process"], row["device"], row["phase"]), []).append(row)
    rows = [
        {"process": process, "device": device, "phase": phase, **_figures(members)}
        for (process, device, phase), members in groups.items()
    ]
    return pa.Table.from_pylist(rows, PHASES)


def _figures(members: Sequence[Row]) -> dict[str, Any]:
    steady = [row for row in members if row["state"] == "steady"]
    figures: dict[str, Any] = {
        "steps": len(members),
        "warm_up": sum(row["state"] == "warm-up" for row in members),
        "steady": len(steady),
    }
    if not steady:
        return figures
    column = {name: [row[name] for row in steady] for name in steady[0]}
    return {
        **figures,
        "kernels_median": float(np.median(column["kernels"])),
        "kernel_ns_median": float(np.median(column["kernel_ns"])),
        "wall_ns_median": float(np.median(column["wall_ns"])),
        "wall_ns_min": min(column["wall_ns"]),
        "wall_ns_max": max(column["wall_ns"]),
        "utilisation": sum(column["busy_union_ns"]) / max(sum(column["wall_ns"]), 1),
    }
