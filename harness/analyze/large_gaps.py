"""The longest gaps, with what ran before and after them and what the host did meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.idle import DeviceWork
from harness.analyze.intervals import covered_before, gaps_between
from harness.analyze.selection import Ints, codes_of, has_values, ints
from harness.analyze.statistics import statistics
from harness.analyze.summaries import api_name, longest_first
from harness.trace import Trace

LARGE = pa.schema(
    [
        pa.field("device", pa.int32()),
        pa.field("process", pa.int32()),  # null: the device number says which device it is
        pa.field("start_ns", pa.int64()),
        pa.field("length_ns", pa.int64()),
        pa.field("share_of_idle_union", pa.float64()),  # of idle_union_ns of the device
        pa.field("copies_ns", pa.int64()),  # of the gap: copies, fills, whole graphs ran
        pa.field("kernel_before", pa.string()),
        pa.field("kernel_after", pa.string()),
        pa.field("call_before", pa.string()),  # the last to end before the gap
        pa.field("call_after", pa.string()),  # the first to start after it
        # calls that ran during the gap, with their time in it, longest first
        pa.field(
            "calls_during",
            pa.list_(
                pa.struct(
                    [
                        pa.field("name", pa.string()),
                        pa.field("calls", pa.int64()),
                        pa.field("ns", pa.int64()),
                    ]
                )
            ),
        ),
    ]
)
"""Columns of the table of large gaps. Names of kernels are those of the Trace."""

CALLS_SHOWN = 5
"""So many names of calls are listed with each gap."""


def large_gaps(
    trace: Trace, kernels: pa.Table, devices: Sequence[DeviceWork], largest: int
) -> pa.Table:
    """Describe the longest gaps of all devices, longest first.

    Calls are those of the process whose kernel ends the gap. Host and device times are on one
    clock.

    Args:
        kernels: the table that ``devices`` are of.
        largest: how many gaps.
    """
    host = _Host(trace.calls)
    names, texts = codes_of(kernels["name"])
    processes = ints(kernels["process"])
    rows = []
    for work in devices:
        here, where = names[work.rows], processes[work.rows]
        for gap in _longest(work, largest):
            process = int(where[gap["kernel_after"]])
            calls = host.around(gap["start_ns"], gap["length_ns"], process)
            around = {name: texts[here[gap[name]]] for name in ("kernel_before", "kernel_after")}
            rows.append(gap | calls | around)
    rows.sort(key=lambda row: (-row["length_ns"], row["start_ns"]))
    return pa.Table.from_pylist(rows[:largest], LARGE)


def _longest(work: DeviceWork, largest: int) -> list[dict[str, Any]]:
    """The longest gaps of one device, with the numbers of the kernels around them."""
    between = gaps_between(work.busy)
    lengths = between.ends - between.starts
    order = _largest(lengths, largest)
    starts, ends = between.starts[order], between.ends[order]
    copied = covered_before(work.copies, ends) - covered_before(work.copies, starts)
    reached = np.maximum.accumulate(work.kernels.ends)
    idle = int(lengths.sum())
    return [
        {
            "device": work.device,
            "process": work.process,
            "start_ns": start,
            "length_ns": end - start,
            "share_of_idle_union": (end - start) / idle,
            "copies_ns": copies,
            "kernel_before": before,
            "kernel_after": after,
        }
        for start, end, copies, before, after in zip(
            starts.tolist(),
            ends.tolist(),
            copied.tolist(),
            np.searchsorted(reached, starts).tolist(),
            np.searchsorted(work.kernels.starts, ends).tolist(),
            strict=True,
        )
    ]


def _largest(lengths: Ints, count: int) -> Ints:
    """Places of the largest, largest first; of equal ones any."""
    some = np.arange(len(lengths))
    if 0 < count < len(lengths):
        some = np.argpartition(lengths, len(lengths) - count)[len(lengths) - count :]
    chosen: Ints = some[np.argsort(-lengths[some], kind="stable")][:count]
    return chosen


class _Host:
    """The API calls of the host.

    Args:
        calls: a Trace's; those without both times are left out.
    """

    def __init__(self, calls: pa.Table) -> None:
        calls = calls.filter(pa.array(has_values(calls, "start_ns", "end_ns")))
        self._starts, self._ends = ints(calls["start_ns"]), ints(calls["end_ns"])
        self._names, self._texts = codes_of(calls["name"])
        self._processes = ints(calls["process"])

    def around(self, start: int, length: int, process: int) -> dict[str, Any]:
        """The calls before, after and during a gap, as columns of `LARGE`."""
        end = start + length
        mine = self._processes == process
        before = np.flatnonzero(mine & (self._ends <= start))
        after = np.flatnonzero(mine & (self._starts >= end))
        during = np.flatnonzero(mine & (self._starts < end) & (self._ends > start))
        inside = np.minimum(self._ends[during], end) - np.maximum(self._starts[during], start)
        found = statistics(self._names[during], inside)
        names = [self._name(code) for code in found.group.tolist()]
        shown = [
            {"name": names[one], "calls": int(found.count[one]), "ns": int(found.total[one])}
            for one in longest_first(found.total, names)[:CALLS_SHOWN]
        ]
        return {
            "call_before": self._name_at(before, self._ends, np.argmax),
            "call_after": self._name_at(after, self._starts, np.argmin),
            "calls_during": shown,
        }

    def _name(self, code: int) -> str:
        return api_name(self._texts[code])

    def _name_at(self, rows: Ints, times: Ints, choose: Any) -> str | None:
        return self._name(self._names[rows[choose(times[rows])]]) if len(rows) else None
