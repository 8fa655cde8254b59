"""When the devices ran nothing: each device, all devices together, each stream.

Idle, wall and the naive gap are defined in `harness.analyze.idle`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from harness.analyze.devices import Numbers, device_groups, device_notes, shared_numbers
from harness.analyze.gap_buckets import bucketed
from harness.analyze.idle import DeviceWork, Idle, Spans, idle
from harness.analyze.intervals import Intervals
from harness.analyze.large_gaps import large_gaps
from harness.analyze.selection import grouped, in_start_order, timed
from harness.errors import NoSignalError
from harness.trace import Trace

STREAMS = pa.schema(
    [
        pa.field("device", pa.int32()),
        pa.field("process", pa.int32()),
        pa.field("stream", pa.int64()),
        pa.field("kernels", pa.int64()),
        pa.field("total_kernel_ns", pa.int64()),
        pa.field("wall_ns", pa.int64()),
        pa.field("busy_union_ns", pa.int64()),
        pa.field("idle_union_ns", pa.int64()),
        pa.field("gap_naive_ns", pa.int64()),  # null unless asked for
    ]
)
"""Columns of the table of streams: kernels only, each stream by itself."""

_COLUMNS = ["kind", "name", "start_ns", "end_ns", "process", "device", "stream"]


@dataclass(frozen=True)
class Gaps:
    """Idle time of a Trace.

    Attributes:
        overall: of all devices pooled.
        devices: of each device that ran kernels, by number and process.
        streams: one row per stream; columns of `STREAMS`.
        buckets: idle time by length of gap; columns of `harness.analyze.gap_buckets.BUCKETS`.
        large: the longest gaps; columns of `harness.analyze.large_gaps.LARGE`.
        notes: where processes share device numbers, how they are told apart.
    """

    overall: Idle
    devices: tuple[Idle, ...]
    streams: pa.Table
    buckets: pa.Table
    large: pa.Table
    notes: tuple[str, ...] = ()


def gaps(trace: Trace, *, naive: bool = False, largest: int = 10) -> Gaps:
    """Find the gaps between kernels.

    Args:
        naive: whether to add the naive gap.
        largest: how many of the longest gaps to describe.

    Raises:
        NoSignalError: no kernel has both times.
    """
    table = trace.activities.select(_COLUMNS)
    kernels = in_start_order(timed(table, "kernel"))
    if not kernels.num_rows:
        raise no_kernels(trace)
    copies = in_start_order(timed(table, "memcpy", "memset", "graph"))
    shared = shared_numbers(trace)
    pooled, devices = _work(kernels, copies, shared)
    return Gaps(
        idle(pooled, naive=naive),
        tuple(idle(work, naive=naive) for work in devices),
        _streams(kernels, pooled, naive),
        bucketed(pooled, devices),
        large_gaps(trace, kernels, devices, largest),
        device_notes(shared),
    )


def no_kernels(trace: Trace) -> NoSignalError:
    """The error for a Trace in which no kernel has both times; it says what the Trace holds."""
    kinds = pc.value_counts(trace.activities["kind"].cast(pa.string())).to_pylist()
    held = ", ".join(f"{row['counts']} {row['values']}" for row in kinds) or "no activity at all"
    return NoSignalError(
        f"no kernel has a start and an end (the Trace holds {held})",
        fix="record CUDA kernels (nsys profile --trace=cuda --cuda-graph-trace=node)",
    )


def _work(
    kernels: pa.Table, copies: pa.Table, shared: Numbers
) -> tuple[DeviceWork, list[DeviceWork]]:
    """What all devices did, and each of those that ran kernels."""
    spans, copied = Spans.of(kernels), Spans.of(copies)
    users = grouped(kernels, "device", "process").labels
    everyone = len({process for _, process in users})
    pooled = DeviceWork(None, None, everyone, slice(None), spans, spans.union(), copied.union())
    copies_of = dict(device_groups(copies, shared))
    devices = []
    for (device, process), rows in device_groups(kernels, shared):
        mine = spans.take(rows)
        processes = 1 if device in shared else sum(number == device for number, _ in users)
        there = copied.take(copies_of.get((device, process), slice(0))).union()
        busy = _union(pooled, mine)
        devices.append(DeviceWork(device, process, processes, rows, mine, busy, there))
    return pooled, devices


def _union(pooled: DeviceWork, mine: Spans) -> Intervals:
    """The union of some of the kernels; of all it is known."""
    return pooled.busy if len(mine) == len(pooled.kernels) else mine.union()


def _streams(kernels: pa.Table, pooled: DeviceWork, naive: bool) -> pa.Table:
    found = []
    for (device, process, stream), rows in grouped(kernels, "device", "process", "stream"):
        mine = pooled.kernels.take(rows)
        busy = _union(pooled, mine).length_ns
        found.append(
            {
                "device": device,
                "process": process,
                "stream": stream,
                "kernels": len(mine),
                "total_kernel_ns": mine.total_ns,
                "wall_ns": mine.wall_ns,
                "busy_union_ns": busy,
                "idle_union_ns": mine.wall_ns - busy,
                "gap_naive_ns": mine.gap_naive_ns if naive else None,
            }
        )
    return pa.Table.from_pylist(found, STREAMS)
