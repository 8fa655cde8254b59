"""API calls that make the host wait: synchronisation, allocation, blocking copies, loading."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.host import HostCalls
from harness.analyze.selection import Mask
from harness.analyze.summaries import api_name
from harness.trace import Trace

SYNCHRONISE, ALLOCATE, FREE = "synchronise", "allocate", "free"
BLOCKING_COPY, LOAD = "blocking copy", "load and instantiate"

# Names as in cuda_runtime_api.h and cuda.h, with or without a version at the end.
_CLASSES = (
    (SYNCHRONISE, re.compile(r"^(cuda|cu)(Device|Ctx|Thread|Stream|Event)Synchronize")),
    (ALLOCATE, re.compile(r"^(cudaMalloc|cudaHostAlloc|cudaHostRegister|cuMemAlloc|cuMemHostAlloc"
                          r"|cuMemHostRegister|cuMemCreate|cuMemMap)")),
    (FREE, re.compile(r"^(cudaFree|cudaHostUnregister|cuMemFree|cuMemHostUnregister|cuMemRelease"
                      r"|cuMemUnmap)")),
    (BLOCKING_COPY, re.compile(r"^(cudaMemcpy|cuMemcpy)(?!\w*Async)(?!\w*Attributes)")),
    (LOAD, re.compile(r"^(cuModuleLoad|cuLibraryLoad|cudaLibraryLoad|(cuda|cu)GraphInstantiate)")),
)  # fmt: skip

HOT_SPOTS = pa.schema(
    [
        pa.field("class", pa.string()),
        pa.field("name", pa.string()),
        pa.field("calls", pa.int64()),
        pa.field("total_ns", pa.int64()),
        pa.field("union_ns", pa.int64()),
        pa.field("share_of_host_span", pa.float64()),
        pa.field("median_ns", pa.float64()),
        pa.field("max_ns", pa.int64()),
    ]
)
"""Columns of `hot_spots`."""


def call_class(name: str) -> str:
    """The class of an API call: one of the constants of this module, or ``""`` for others.

    Whether a copy blocks is told from its name alone; asynchronous ones from or to pageable memory
    can block as well (CUDA Runtime API, "API synchronization behavior").
    """
    return next((kind for kind, pattern in _CLASSES if pattern.match(name)), "")


def hot_spots(trace: Trace) -> pa.Table:
    """API calls that make the host wait, by class and name, longest first, as `HOT_SPOTS`.

    ``total_ns`` is the sum over all threads, ``union_ns`` the time during which at least one thread
    was in such a call, ``share_of_host_span`` that time's share of the time from the first API
    call's start to the last one's end. Without calls the table has no rows.
    """
    calls = HostCalls(trace)
    recorded: dict[str, set[str]] = {}
    for name in calls.names:
        if call_class(name):
            recorded.setdefault(api_name(name), set()).add(name)
    rows = [_row(name, calls, calls.of(same.__contains__)) for name, same in recorded.items()]
    rows = [row for row in rows if row["calls"]]
    rows.sort(key=lambda row: (-row["total_ns"], row["name"]))
    return pa.Table.from_pylist(rows, HOT_SPOTS)


def _row(name: str, calls: HostCalls, chosen: Mask) -> dict[str, Any]:
    durations, union = calls.durations(chosen), calls.union(chosen).length_ns
    return {
        "class": call_class(name),
        "name": name,
        "calls": len(durations),
        "total_ns": int(durations.sum()),
        "union_ns": union,
        "share_of_host_span": union / calls.span_ns if calls.span_ns else None,
        "median_ns": float(np.median(durations)) if len(durations) else None,
        "max_ns": int(durations.max(initial=0)),
    }
