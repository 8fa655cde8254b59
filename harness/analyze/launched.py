"""Calls of the host that put work on a device, and what became of it there."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from harness.analyze.selection import (
    DEVICE_KINDS,
    Ints,
    codes_of,
    group_numbers,
    has_values,
    in_start_order,
    ints,
    spans,
    timed,
)
from harness.trace import Trace

_PAIR = ["process", "correlation"]
_WORK = ["kind", "name", "process", "correlation", "start_ns", "end_ns"]
_CALL = ["process", "thread", "correlation", "start_ns", "end_ns"]


@dataclass(frozen=True)
class Launched:
    """Calls and the device work with their correlation id, arrays of shape (n,).

    Attributes:
        process, thread: of the call; -1 for a process that is not known.
        start_ns, end_ns: of the call.
        first_ns, last_ns: when the first piece of work began and the last ended.
        kernels: how many were launched, those of a graph too.
        kernel_ns: the sum of their durations.
    """

    process: Ints
    thread: Ints
    start_ns: Ints
    end_ns: Ints
    first_ns: Ints
    last_ns: Ints
    kernels: Ints
    kernel_ns: Ints

    def take(self, rows: Ints) -> Launched:
        """Of these rows only."""
        return Launched(*(getattr(self, field.name)[rows] for field in fields(self)))


def launched(trace: Trace) -> Launched:
    """The calls of a Trace that put work on a device, in the order of their starts.

    Of several calls with one correlation id it is the first. Work and calls without both times,
    and calls whose thread is not known, are left out.
    """
    work = in_start_order(timed(trace.activities.select(_WORK), *DEVICE_KINDS))
    work = work.filter(pa.array(has_values(work, "correlation")))
    calls = trace.calls.select(_CALL)
    known = has_values(calls, "start_ns", "end_ns", "thread", "correlation")
    calls = in_start_order(calls.filter(pa.array(known)))
    numbers, _ = group_numbers(pa.concat_tables([work.select(_PAIR), calls.select(_PAIR)]), *_PAIR)
    of_work, of_call = np.split(numbers, [work.num_rows])
    groups = int(numbers.max()) + 1 if len(numbers) else 0
    starts, ends = spans(work)
    kinds, texts = codes_of(work["kind"])
    is_kernel = np.array([text == "kernel" for text in texts], np.bool_)[kinds]
    # Of several values for one place NumPy keeps the last, so backwards the first.
    first, call = np.zeros(groups, np.int64), np.full(groups, -1, np.int64)
    first[of_work[::-1]] = starts[::-1]
    call[of_call[::-1]] = np.arange(len(of_call))[::-1]
    last = np.full(groups, np.iinfo(np.int64).min)
    np.maximum.at(last, of_work, ends)
    kernels = np.bincount(of_work[is_kernel], minlength=groups)
    # Sums of float64 are exact here: below 2^53 ns, 104 days.
    kernel_ns = np.bincount(of_work[is_kernel], (ends - starts)[is_kernel], minlength=groups)
    call[np.bincount(of_work, minlength=groups) == 0] = -1
    found = np.flatnonzero(call >= 0)
    found = found[np.argsort(call[found])]
    columns = [ints(calls[name])[call[found]] for name in _CALL if name != "correlation"]
    figures = (first, last, kernels, kernel_ns.astype(np.int64))
    return Launched(*columns, *(one[found] for one in figures))
