"""Collected events as tables of a Trace: on the base time, in order, put to calls and regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from harness.record.files.kineto.collect import CALL_INTEGERS, DIMS, INTEGERS, Collected
from harness.record.files.kineto.columns import NONE, Ints, nullable
from harness.record.files.kineto.regions import region_rows, regions_of_calls
from harness.record.files.times import check_times
from harness.trace import activities_table, calls_table, regions_table
from harness.trace.schema import ACTIVITIES, CALLS, KINDS


@dataclass(frozen=True)
class Tables:
    """The three tables of a Trace.

    Attributes:
        unattributed: activities whose launch call was not recorded.
        ambiguous: of these, those whose correlation id has calls in several processes.
        endless: activities without an end.
    """

    activities: pa.Table
    regions: pa.Table
    calls: pa.Table
    unattributed: int
    ambiguous: int
    endless: int


def tables_of(found: Collected, base: int) -> Tables:
    """Build the tables.

    Args:
        found: everything that was collected.
        base: ns since the epoch to which the times of the file are relative.

    Raises:
        ValueError, pyarrow.ArrowInvalid, harness.errors.TraceFormatError: a value is out of range.
    """
    rows = region_rows(found.regions, base)
    calls = {name: found.calls[name].numbers() for name in CALL_INTEGERS}
    order = np.lexsort((calls["correlation"], calls["start_ns"]))
    calls = {name: numbers.take(order) for name, numbers in calls.items()}
    _put_on(base, calls)
    region = regions_of_calls(rows, calls["process"], calls["thread"], calls["start_ns"])
    columns = {n: nullable(calls[n], CALLS.field(n).type) for n in CALL_INTEGERS}
    launched = _Launches(calls["correlation"], calls["process"], region)
    activities, unattributed, ambiguous, endless = _activities(found, base, launched)
    return Tables(
        activities,
        regions_table(rows),
        calls_table(columns | {"name": found.call_names.column(order), "region": region}),
        unattributed,
        ambiguous,
        endless,
    )


def _put_on(base: int, columns: dict[str, Ints]) -> None:
    check_times(np.array([base]), "the trace")
    for name in ("start_ns", "end_ns"):
        numbers = columns[name]
        check_times(numbers[numbers != NONE], "the trace")
        columns[name] = np.where(numbers == NONE, NONE, numbers + base)


class _Launches:
    """API calls by correlation id, which counts up in each process.

    Args:
        correlation, process, region: of the calls in the order of their starts, shape (n,).
    """

    def __init__(self, correlation: Ints, process: Ints, region: Ints) -> None:
        order = np.argsort(correlation, kind="stable")
        self._keys = correlation.take(order)
        self._process, self._region = process.take(order), region.take(order)
        processes = np.unique(process[process != NONE])
        self.only_process = int(processes[0]) if len(processes) == 1 else NONE

    def of(self, correlation: Ints) -> tuple[Ints, Ints, Ints]:
        """Process and region of the last call with each id, `NONE` where there is none or where
        several processes have one; and which of these are the latter."""
        if not len(self._keys):
            none = np.full(len(correlation), NONE, np.int64)
            return none, none, np.zeros(len(correlation), np.bool_)
        first = np.searchsorted(self._keys, correlation, side="left")
        last = np.searchsorted(self._keys, correlation, side="right") - 1
        known = (last >= first) & (correlation != NONE)
        first = np.minimum(first, len(self._keys) - 1)
        several = known & (self._changes(first) != self._changes(last))
        known &= ~several
        return (
            np.where(known, self._process[last], NONE),
            np.where(known, self._region[last], NONE),
            several,
        )

    def _changes(self, at: Ints) -> Ints:
        """How often the process changes up to each place; equal at both ends of one process."""
        if self.only_process != NONE:
            return np.zeros(len(at), np.int64)
        changes: Ints = np.cumsum(np.diff(self._process, prepend=self._process[:1]) != 0)
        return changes[at]


def _activities(found: Collected, base: int, launched: _Launches) -> tuple[pa.Table, int, int, int]:
    """The activities table; activities without call, those with several, those without end."""
    numbers = {name: found.integers[name].numbers() for name in INTEGERS}
    order = np.lexsort((numbers["correlation"], numbers["start_ns"]))
    numbers = {name: column.take(order) for name, column in numbers.items()}
    _put_on(base, numbers)
    process, region, several = launched.of(numbers["correlation"])
    unknown = region == NONE
    process = np.where(process == NONE, launched.only_process, process)
    stated = numbers["process"]
    numbers["process"] = np.where(stated == NONE, process, stated)
    node = numbers["graph_node"] != NONE
    columns: dict[str, Any] = {
        name: nullable(numbers[name], ACTIVITIES.field(name).type)
        for name in INTEGERS
        if name != "kind"
    }
    columns |= {name: found.dims[name].column(order) for name in DIMS}
    columns["kind"] = pa.DictionaryArray.from_arrays(
        pa.array(numbers["kind"].astype(np.int8)), pa.array(KINDS, pa.string())
    )
    columns["name"] = found.names.column(order)
    # Kineto does not know in which region a graph's node was created.
    columns["region"] = nullable(np.where(node, NONE, region), pa.int64())
    columns["launched_in"] = nullable(np.where(node, region, NONE), pa.int64())
    endless = int((numbers["end_ns"] == NONE).sum())
    return activities_table(columns), int(unknown.sum()), int(several.sum()), endless
