"""NVTX ranges projected onto the GPU: from the first operation launched in a range to the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.launched import Launched, launched
from harness.analyze.selection import Ints, Mask, group_numbers, has_values, ints
from harness.trace import Trace


@dataclass(frozen=True)
class Projection:
    """Ranges in which something was launched; arrays of shape (n,), in the regions table's order.

    Attributes:
        regions: those rows of the regions table.
        start_ns, end_ns: when the first operation launched in the range began and the last ended.
        operations: calls that put work on the device; the launch of a graph is one.
        kernels: kernels launched, those in graphs too.
        kernel_ns: the sum of their durations.
        level: ranges around it.
        children: ranges directly inside it.
    """

    regions: pa.Table
    start_ns: Ints
    end_ns: Ints
    operations: Ints
    kernels: Ints
    kernel_ns: Ints
    level: Ints
    children: Ints


def project(trace: Trace) -> Projection:
    """Put device work to the ranges in which it was launched.

    An operation is in a range when the API call that launched it begins and ends between the
    range's start and end on the range's thread (Nsight Systems Analysis Guide, nvtx_gpu_proj_sum).
    Ranges without a thread (begun on one and ended on another), open ones and those that launch
    nothing are left out, also of levels and children. So is work whose call was not recorded.
    """
    regions = trace.regions.filter(pa.array(_is_closed_range(trace.regions)))
    calls, low, high = _launches_in(regions, launched(trace))
    some = high > low
    regions, low, high = regions.filter(pa.array(some)), low[some], high[some]
    level, children = _nesting(regions)
    return Projection(
        regions,
        _reduced(np.minimum, calls.first_ns, low, high),
        _reduced(np.maximum, calls.last_ns, low, high),
        high - low,
        _summed(calls.kernels, low, high),
        _summed(calls.kernel_ns, low, high),
        level,
        children,
    )


def is_range(regions: pa.Table) -> Mask:
    """Which regions have a start and are no mark."""
    marks = np.array([style == "Mark" for style in regions["style"].to_pylist()], np.bool_)
    kept: Mask = has_values(regions, "start_ns") & ~marks
    return kept


def _is_closed_range(regions: pa.Table) -> Mask:
    kept: Mask = is_range(regions) & has_values(regions, "end_ns", "thread")
    return kept


def _launches_in(regions: pa.Table, calls: Launched) -> tuple[Launched, Ints, Ints]:
    """The calls by thread, and for each region the first of its own and the one after the last.

    Calls of a thread that launch follow each other, so those in a range are neighbours.
    """
    places = pa.table({"process": calls.process, "thread": calls.thread})
    asked = pa.table({name: ints(regions[name]) for name in places.column_names})
    threads, _ = group_numbers(pa.concat_tables([places, asked]), *places.column_names)
    of_call, of_region = np.split(threads, [len(calls.process)])
    order = np.argsort(of_call, kind="stable")
    calls, of_call = calls.take(order), of_call[order]
    opened, closed = ints(regions["start_ns"]), ints(regions["end_ns"])
    low, high = np.zeros(len(opened), np.int64), np.zeros(len(opened), np.int64)
    for thread in np.unique(of_region).tolist():
        mine = np.flatnonzero(of_region == thread)
        first, after = np.searchsorted(of_call, [thread, thread + 1])
        low[mine] = first + np.searchsorted(calls.start_ns[first:after], opened[mine])
        ends = calls.end_ns[first:after]
        high[mine] = first + np.searchsorted(ends, closed[mine], side="right")
    return calls, low, high


def _nesting(regions: pa.Table) -> tuple[Ints, Ints]:
    """How many of these regions are around each, and how many directly inside."""
    parent = _places(ints(regions["id"]), ints(regions["parent"]))
    children = np.bincount(parent[parent != _NONE], minlength=len(parent))
    level, around = np.zeros(len(parent), np.int64), parent
    for _ in range(len(parent)):  # no more, even if a damaged file holds a cycle
        if (around == _NONE).all():
            break
        level += around != _NONE
        around = np.where(around == _NONE, _NONE, parent[around])
    return level, children.astype(np.int64)


_NONE = -1


def _places(ids: Ints, wanted: Ints) -> Ints:
    """Where each wanted id is among ``ids``; -1 where it is not."""
    if not len(ids):
        return np.full(len(wanted), _NONE, np.int64)
    order = np.argsort(ids)
    found = order[np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)]
    places: Ints = np.where(ids[found] == wanted, found, _NONE)
    return places


def _reduced(reduce: np.ufunc, values: Ints, low: Ints, high: Ints) -> Any:
    """The reduction of values[low:high] for each pair, of which none is empty."""
    # reduceat goes from each place to the next, so every other result is of values between pairs.
    padded = np.append(values, 0)
    places = np.stack([low, high], axis=1).reshape(-1)
    return reduce.reduceat(padded, places)[::2] if len(places) else values[:0]


def _summed(values: Ints, low: Ints, high: Ints) -> Ints:
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])
    sums: Ints = before[high] - before[low]
    return sums
