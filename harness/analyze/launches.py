"""What a launch costs the host, when its work starts, and how far the host is ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.analyze.host import HostCalls, launches_graph
from harness.analyze.selection import Ints, Mask, grouped, ints
from harness.analyze.statistics import named_groups, statistics
from harness.analyze.summaries import api_name
from harness.analyze.work import UNKNOWN, Work, device_work
from harness.names.demangle import demangle
from harness.trace import Trace


@dataclass(frozen=True)
class Launched:
    """Figures of API calls that put work on a device, one per call, shape (calls,).

    Attributes:
        call_ns: how long the call took the host.
        to_start_ns: from the call's start to the start of its first activity.
        queue_ns: from the call's end to that start; 0 where the work starts sooner (as in
            ``cuda_kern_exec_sum`` of ``nsys stats``).
        idle: whether all earlier work of its stream had ended when the call ended: then the stream
            waited for the host.
        in_flight: other calls of the process whose work on the device had not ended when the call
            ended: how far the host is ahead.
    """

    call_ns: Ints
    to_start_ns: Ints
    queue_ns: Ints
    idle: Mask
    in_flight: Ints


@dataclass(frozen=True)
class Launches:
    """Launch overhead and queueing. Times in ns.

    A call and its work are found by the correlation id within a process. Columns of the tables are
    sums, medians and maxima of the figures of `Launched`; shares are of the calls of the row.

    Attributes:
        each: the figures of every call that put work on a device.
        by_api: by API name, most time in calls first.
        by_kernel: by kernel, of calls that launched one kernel and no graph, in the same order.
        unmatched: activities without a call of their correlation id.
    """

    each: Launched
    by_api: pa.Table
    by_kernel: pa.Table
    unmatched: int


def launches(trace: Trace) -> Launches:
    """Launch overhead and queueing, by API name and by kernel."""
    work, calls = device_work(trace), HostCalls(trace)
    call = same_launch(work, calls)
    rows = np.flatnonzero(call != UNKNOWN)
    rows = rows[np.lexsort((work.starts[rows], call[rows]))]
    at, first, many = np.unique(call[rows], return_index=True, return_counts=True)
    each = _figures(work, calls, rows, first, at)
    direct = work.of_kind("kernel")[rows[first]] & (many == 1) & ~calls.of(launches_graph)[at]
    kernels = rows[first[direct]]
    api_names, api = named_groups(calls.rows["name"].take(pa.array(at)), api_name)
    names, kernel = named_groups(work.rows["name"].take(pa.array(kernels)), demangle)
    durations = (work.ends - work.starts)[kernels]
    return Launches(
        each,
        _table(api_names, api, each, np.full(len(at), True), {"activities": many}),
        _table(names, kernel, each, direct, {"kernel_ns": durations}),
        int((call == UNKNOWN).sum()),
    )


def same_launch(work: Work, calls: HostCalls) -> Ints:
    """Place in ``calls`` of the call that launched each activity; -1 where there is none."""
    if not len(calls):
        return np.full(len(work.starts), UNKNOWN, np.int64)
    columns = [
        pa.chunked_array([*one[name].chunks, *other[name].chunks], one[name].type)
        for name in ("process", "correlation")
        for one, other in [(calls.rows, work.rows)]
    ]
    key = grouped(pa.table(columns, ["process", "correlation"]), "process", "correlation").of_row
    known, place = np.unique(key[: len(calls)], return_index=True)
    wanted = key[len(calls) :]
    found = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    same = (known[found] == wanted) & (ints(work.rows["correlation"]) != UNKNOWN)
    return np.where(same, place[found], UNKNOWN)


def _figures(work: Work, calls: HostCalls, rows: Ints, first: Ints, at: Ints) -> Launched:
    """Per call ``at``, whose activities are ``rows`` from its place in ``first`` on."""
    starts, ends = calls.starts[at], calls.ends[at]
    begun = work.starts[rows[first]]
    finished = np.maximum.reduceat(work.ends[rows], first) if len(first) else begun
    devices = grouped(work.rows.select(["process", "device"]), "process", "device").of_row
    return Launched(
        ends - starts,
        begun - starts,
        np.maximum(begun - ends, 0),
        _busy_until(work)[rows[first]] <= ends,
        _in_flight(devices[rows[first]], starts, ends, finished),
    )


def _busy_until(work: Work) -> Ints:
    """When the last earlier activity of the same stream ended, shape (n,)."""
    stream = grouped(work.rows, "process", "device", "context", "stream").of_row
    until = np.full(len(stream), np.iinfo(np.int64).min)
    order = np.lexsort((work.starts, stream))
    for one in np.split(order, np.flatnonzero(np.diff(stream[order])) + 1):
        until[one[1:]] = np.maximum.accumulate(work.ends[one])[:-1]
    return until


def _in_flight(devices: Ints, starts: Ints, ends: Ints, finished: Ints) -> Ints:
    count = np.zeros(len(starts), np.int64)
    for device in np.unique(devices):
        here = devices == device
        begun = np.searchsorted(np.sort(starts[here]), ends[here], side="right")
        done = np.searchsorted(np.sort(finished[here]), ends[here], side="right")
        count[here] = begun - done - (finished[here] > ends[here])  # without itself
    return count


def _table(
    names: list[str],
    codes: npt.NDArray[np.integer],
    each: Launched,
    chosen: Mask,
    more: dict[str, Ints],
) -> pa.Table:
    """One row for each name; ``codes`` and ``more`` are of the chosen calls."""
    figures = {"call_ns": each.call_ns, "to_start_ns": each.to_start_ns}
    figures |= {"queue_ns": each.queue_ns, "in_flight": each.in_flight}
    by = {name: statistics(codes, values[chosen]) for name, values in figures.items()}
    idle = statistics(codes, each.idle[chosen].astype(np.int64))
    columns = {
        "name": pa.array([names[code] for code in idle.group.tolist()], pa.string()),
        "calls": idle.count,
        "call_total_ns": by["call_ns"].total,
    }
    for name, found in by.items():
        columns[_heading(name, "median")] = found.median
        columns[_heading(name, "max")] = found.maximum
    columns |= {"on_idle_stream": idle.total, "on_idle_stream_share_of_calls": idle.mean}
    for name, values in more.items():
        found = statistics(codes, values)
        columns[_heading(name, "total")] = found.total
        columns[_heading(name, "median")] = found.median
    return pa.table(columns).sort_by([("call_total_ns", "descending"), ("name", "ascending")])


def _heading(name: str, figure: str) -> str:
    return f"{name[:-3]}_{figure}_ns" if name.endswith("_ns") else f"{name}_{figure}"
