"""How much of the device's work was launched through CUDA graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.host import HostCalls, launches_graph
from harness.analyze.launches import same_launch
from harness.analyze.overlap import share
from harness.analyze.selection import Mask, has_values
from harness.analyze.work import Work, device_work
from harness.trace import Trace

COVERAGE = pa.schema(
    [
        pa.field("device", pa.int32()),
        pa.field("process", pa.int32()),  # null: the device number says which device it is
        pa.field("kernels", pa.int64()),
        pa.field("kernels_in_graphs", pa.int64()),
        pa.field("graph_share_of_kernels", pa.float64()),
        pa.field("kernel_ns", pa.int64()),
        pa.field("kernel_ns_in_graphs", pa.int64()),
        pa.field("graph_share_of_kernel_ns", pa.float64()),
        pa.field("whole_graphs", pa.int64()),
        pa.field("whole_graph_ns", pa.int64()),
        pa.field("graph_share_of_kernel_and_graph_ns", pa.float64()),
    ]
)
"""Columns of `coverage`."""


def coverage(trace: Trace) -> pa.Table:
    """Kernels inside and outside CUDA graphs, in columns of `COVERAGE`: a row for each device, and
    before them one over all (``device`` null) unless there is one device.

    A kernel is in a graph if the Trace has its graph or node, or if its launch call launches graphs
    (``cudaGraphLaunch`` and its like). Times are sums of durations in ns. Whole graphs are launches
    that the source shows as one row without their kernels (``--cuda-graph-trace=graph`` of nsys);
    they count in the last share only: of kernels in graphs and whole graphs, in all kernels and
    whole graphs. A share of nothing is null, and so is what
    is in graphs where the Trace has neither graphs nor API calls to tell by.
    """
    work = device_work(trace)
    kernel, whole = work.of_kind("kernel"), work.of_kind("graph")
    inside = in_graphs(trace, work)
    graphed = None if inside is None else inside & kernel
    rows = [
        {
            "device": device,
            "process": process,
            **_figures(work, kernel, whole, graphed, here),
        }
        for (device, process), here in zip(work.device_labels, work.device_masks, strict=True)
        if (here & (kernel | whole)).any()
    ]
    if len(rows) != 1:
        everywhere = np.ones(len(kernel), np.bool_)
        rows.insert(0, {"device": None, **_figures(work, kernel, whole, graphed, everywhere)})
    return pa.Table.from_pylist(rows, COVERAGE)


def in_graphs(trace: Trace, work: Work) -> Mask | None:
    """Which activities were launched as part of a CUDA graph, shape (n,); None: cannot be told."""
    known = has_values(work.rows, "graph") | has_values(work.rows, "graph_node")
    calls = HostCalls(trace)
    if not len(calls):
        return known if known.any() else None
    # Its last value is for those without a call, whose place is -1.
    by_graph_call = np.append(calls.of(launches_graph), False)
    mask: Mask = known | by_graph_call[same_launch(work, calls)]
    return mask


def _figures(
    work: Work, kernel: Mask, whole: Mask, graphed: Mask | None, here: Mask
) -> dict[str, Any]:
    length = work.ends - work.starts

    def total(mask: Mask) -> int:
        return int(length[mask & here].sum())

    def count(mask: Mask) -> int:
        return int((mask & here).sum())

    figures: dict[str, Any] = {
        "kernels": count(kernel),
        "kernel_ns": total(kernel),
        "whole_graphs": count(whole),
        "whole_graph_ns": total(whole),
    }
    if graphed is None:
        return figures
    return figures | {
        "kernels_in_graphs": count(graphed),
        "graph_share_of_kernels": share(count(graphed), count(kernel)),
        "kernel_ns_in_graphs": total(graphed),
        "graph_share_of_kernel_ns": share(total(graphed), total(kernel)),
        "graph_share_of_kernel_and_graph_ns": share(total(graphed | whole), total(kernel | whole)),
    }
