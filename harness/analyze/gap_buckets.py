"""How idle time spreads over short and long gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.idle import DeviceWork
from harness.analyze.intervals import gaps_between

EDGES_NS = (1_000, 5_000, 10_000, 50_000, 100_000, 1_000_000)
"""Where a bucket ends and the next begins: a gap of exactly 5 µs is in the one from 5 to 10."""

LABELS = ("<1 us", "1-5 us", "5-10 us", "10-50 us", "50-100 us", "0.1-1 ms", ">=1 ms")
"""Names of the buckets."""

BUCKETS = pa.schema(
    [
        pa.field("device", pa.int32()),  # null: all devices pooled
        pa.field("process", pa.int32()),  # null: the device number says which device it is
        pa.field("gap", pa.string()),  # of LABELS
        pa.field("gaps", pa.int64()),
        pa.field("idle_ns", pa.int64()),
        pa.field("share_of_idle_union", pa.float64()),  # of idle_union_ns of the same devices
    ]
)
"""Columns of the table of buckets."""


def bucketed(pooled: DeviceWork, devices: Sequence[DeviceWork]) -> pa.Table:
    """Count gaps by length: of all devices pooled, and of each where there are several."""
    rows = _rows(pooled)
    for one in devices if len(devices) > 1 else ():
        rows += _rows(one)
    return pa.Table.from_pylist(rows, BUCKETS)


def _rows(work: DeviceWork) -> list[dict[str, Any]]:
    between = gaps_between(work.busy)
    lengths = between.ends - between.starts
    total = int(lengths.sum())
    # What is shorter than each edge; a bucket is the difference of two.
    counts, idle = [0], [0]
    for edge in EDGES_NS:
        shorter = lengths < edge
        counts.append(int(shorter.sum()))
        idle.append(int(lengths.sum(where=shorter)))
    return [
        {
            "device": work.device,
            "process": work.process,
            "gap": label,
            "gaps": count,
            "idle_ns": time,
            "share_of_idle_union": time / total if total else None,
        }
        for label, count, time in zip(
            LABELS,
            np.diff([*counts, len(lengths)]).tolist(),
            np.diff([*idle, total]).tolist(),
            strict=True,
        )
    ]
