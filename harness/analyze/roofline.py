"""How near each kernel came to the roofs of its GPU, from Nsight Compute's metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.analyze.flops import needed, scalar_flop, tensor_flop
from harness.record.files.ncu.report import NcuReport
from harness.trace.columns import column_of
from harness.trace.dims import DIM3_COLUMN

LATENCY_BELOW_PCT = 60.0
"""Below this share of both peaks nothing is saturated: the threshold of Nsight Compute's own rule
SOLBottleneck (``SpeedOfLight.py``), which then names latency."""

RULE = (
    f"latency where neither memory nor compute reaches {LATENCY_BELOW_PCT:.0f} % of its peak "
    "(Nsight Compute's rule SOLBottleneck), else the one of the two that is nearer to it"
)

_DURATION = ("gpu__time_duration.sum", "gpu__time_duration.avg", "Duration")
_READ, _WRITTEN = "dram__bytes_read.sum", "dram__bytes_write.sum"
_DRAM_BYTES = ("dram__bytes.sum",)
_DRAM_RATE = ("dram__bytes.sum.per_second", "Memory Workload Analysis: Memory Throughput")
_MEMORY_PCT = (
    "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed",
    "gpu__compute_memory_access_throughput.avg.pct_of_peak_sustained_elapsed",
    "GPU Speed Of Light Throughput: Memory Throughput",
)
_DRAM_PCT = (
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "GPU Speed Of Light Throughput: DRAM Throughput",
)
_COMPUTE_PCT = (
    "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "GPU Speed Of Light Throughput: Compute (SM) Throughput",
)

ROOFLINE = pa.schema(
    [
        pa.field("kernel", pa.int32()),
        pa.field("name", pa.string()),
        pa.field("grid", DIM3_COLUMN),
        pa.field("block", DIM3_COLUMN),
        pa.field("duration_ns", pa.float64()),
        pa.field("dram_bytes", pa.float64()),  # read and written
        pa.field("dram_bytes_per_s", pa.float64()),
        pa.field("flop", pa.float64()),  # scalar and tensor; see harness.analyze.flops
        pa.field("tensor_flop", pa.float64()),
        pa.field("flop_per_s", pa.float64()),
        pa.field("intensity", pa.float64()),  # flop per byte of DRAM traffic
        pa.field("memory_pct", pa.float64()),  # of the peak of the busiest part of the memory path
        pa.field("dram_pct", pa.float64()),
        pa.field("compute_pct", pa.float64()),  # of the peak of the busiest pipe of the SMs
        pa.field("bound_by", pa.string()),  # memory, compute, latency; null: not known
    ]
)
"""Columns of `Roofline.table`; null: the metrics that it needs were not collected."""


@dataclass(frozen=True, eq=False)
class Roofline:
    """Roofline figures of a report.

    Attributes:
        table: one row per kernel, in order of the file; columns `ROOFLINE`.
        rule: how ``bound_by`` was decided, for the reader.
        notes: which figures are missing, of how many kernels, and the metrics that would give them.
    """

    table: pa.Table
    rule: str
    notes: tuple[str, ...]


def roofline(report: NcuReport) -> Roofline:
    """Achieved bandwidth, compute and intensity per kernel, and what bounds it.

    Bandwidth is bytes read from and written to DRAM divided by the kernel's duration; FLOP/s and
    intensity are `harness.analyze.flops` divided by duration and by those bytes; shares of the
    peak are Nsight Compute's own ``pct_of_peak_sustained_elapsed``. Durations are those under ncu,
    which by default locks clocks to base and flushes caches.
    """
    present = pc.unique(report.metrics["metric"].cast(pa.string())).to_pylist()
    single = [*_DURATION, _READ, _WRITTEN, *_DRAM_BYTES, *_DRAM_RATE]
    named = [*single, *_MEMORY_PCT, *_DRAM_PCT, *_COMPUTE_PCT, *needed(present)]
    values = report.pivot(named).to_pylist()
    kernels = report.kernels.select(["name", "grid", "block"]).to_pylist()
    rows = [{**kernel, **_figures(row)} for kernel, row in zip(kernels, values, strict=True)]
    table = pa.Table.from_arrays(
        [column_of([row[one.name] for row in rows], one.type) for one in ROOFLINE], schema=ROOFLINE
    )
    return Roofline(table, RULE, _missing(table))


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    seconds = _first(row, _DURATION)
    moved, rate = _traffic(row, seconds)
    tensor, scalar = tensor_flop(row), scalar_flop(row)
    flop = None if tensor is None or scalar is None else tensor + scalar
    memory, compute = _first(row, _MEMORY_PCT), _first(row, _COMPUTE_PCT)
    return {
        "kernel": row["kernel"],
        "duration_ns": None if seconds is None else round(seconds * 1e9, 3),
        "dram_bytes": moved,
        "dram_bytes_per_s": rate,
        "flop": flop,
        "tensor_flop": tensor,
        "flop_per_s": _ratio(flop, seconds),
        "intensity": _ratio(flop, moved),
        "memory_pct": memory,
        "dram_pct": _first(row, _DRAM_PCT),
        "compute_pct": compute,
        "bound_by": bound_by(memory, compute),
    }


def bound_by(memory_pct: float | None, compute_pct: float | None) -> str | None:
    """``memory``, ``compute`` or ``latency`` by `RULE`; None where a share is not known."""
    if memory_pct is None or compute_pct is None:
        return None
    if max(memory_pct, compute_pct) < LATENCY_BELOW_PCT:
        return "latency"
    return "memory" if memory_pct >= compute_pct else "compute"


def _traffic(row: dict[str, Any], seconds: float | None) -> tuple[float | None, float | None]:
    """Bytes to and from DRAM, and bytes per second."""
    read, written = row[_READ], row[_WRITTEN]
    moved = _first(row, _DRAM_BYTES) if read is None or written is None else read + written
    rate = _first(row, _DRAM_RATE) if moved is None else _ratio(moved, seconds)
    if moved is None and rate is not None and seconds is not None:
        moved = rate * seconds
    return moved, rate


def _first(row: dict[str, Any], names: Sequence[str]) -> float | None:
    return next((row[name] for name in names if row[name] is not None), None)


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


_NEEDS = {
    "duration_ns": _DURATION[0],
    "dram_bytes": f"{_READ} and {_WRITTEN}",
    "flop": "smsp__sass_thread_inst_executed_op_*_pred_on.sum (ncu --section "
    "SpeedOfLight_RooflineChart) and sm__ops_path_tensor_src_*.sum (ncu --set full)",
    "memory_pct": _MEMORY_PCT[0],
    "compute_pct": _COMPUTE_PCT[0],
}


def _missing(table: pa.Table) -> tuple[str, ...]:
    return tuple(
        f"{column} is not known of {table[column].null_count} of {table.num_rows} kernels: "
        f"it needs {needs}"
        for column, needs in _NEEDS.items()
        if table[column].null_count
    )
