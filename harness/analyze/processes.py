"""What each process of a Trace ran on the device."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.trace import Trace

PROCESSES = pa.schema(
    [
        pa.field("process", pa.int32()),  # null: the source does not tell
        pa.field("devices", pa.list_(pa.int32())),
        pa.field("kernels", pa.int64()),
        pa.field("kernels_in_graphs", pa.int64()),
        pa.field("copies", pa.int64()),  # memcpy and memset
        pa.field("kernel_ns", pa.int64()),
        # of the kernel time of all processes; null: no kernel took time
        pa.field("share_of_kernel_time", pa.float64()),
        pa.field("first_ns", pa.int64()),
        pa.field("last_ns", pa.int64()),
    ]
)
"""Columns of `process_summary`."""


def process_summary(trace: Trace) -> pa.Table:
    """One row per process with device activities, longest kernel time first."""
    names = ["kind", "process", "device", "start_ns", "end_ns", "graph_node"]
    table = trace.activities.select(names)
    kind = table["kind"].cast(pa.string())
    span = pc.subtract(table["end_ns"], table["start_ns"])
    is_kernel = pc.equal(kind, "kernel")
    in_graph = pc.and_(is_kernel, pc.is_valid(table["graph_node"]))
    is_copy = pc.is_in(kind, pa.array(["memcpy", "memset"]))
    zero = pa.scalar(0, pa.int64())
    columns = {
        "process": table["process"],
        "device": table["device"],
        "kernels": is_kernel.cast(pa.int64()),
        "kernels_in_graphs": in_graph.cast(pa.int64()),
        "copies": is_copy.cast(pa.int64()),
        "kernel_ns": pc.if_else(is_kernel, pc.fill_null(span, 0), zero),
        "first_ns": table["start_ns"],
        "last_ns": table["end_ns"],
    }
    wanted = pc.invert(pc.equal(kind, "op"))
    sums = ("kernels", "kernels_in_graphs", "copies", "kernel_ns")
    wished = [*((name, "sum") for name in sums), ("device", "distinct")]
    wished += [("first_ns", "min"), ("last_ns", "max")]
    whole = pa.table(columns).filter(wanted)
    grouped = whole.group_by("process", use_threads=False).aggregate(wished)
    time = grouped["kernel_ns_sum"].to_numpy()
    total = int(time.sum())
    shares = time / total if total else [None] * len(time)
    found = {
        "process": grouped["process"],
        "devices": pa.array([_devices(one) for one in grouped["device_distinct"].to_pylist()]),
        **{name: grouped[f"{name}_sum"] for name in sums},
        "share_of_kernel_time": pa.array(shares, pa.float64()),
        "first_ns": grouped["first_ns_min"],
        "last_ns": grouped["last_ns_max"],
    }
    order = np.argsort(-time, kind="stable")
    return pa.table({one.name: found[one.name] for one in PROCESSES}).cast(PROCESSES).take(order)


def _devices(found: list[int | None]) -> list[int]:
    return sorted(one for one in found if one is not None)
