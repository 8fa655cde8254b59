"""CUDA API calls of an export: rows of the calls table, and what launched which activity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.files.nsys.columns import Codes, Column, Wanted
from harness.record.files.nsys.database import Database
from harness.record.files.nsys.ids import global_process_of, process_of, thread_of
from harness.record.files.nsys.innermost import Ranges
from harness.record.files.nsys.scan import scan
from harness.record.files.nsys.strings import strings
from harness.record.slots import Slots
from harness.trace import calls_table

Array = npt.NDArray[Any]

RUNTIME, DRIVER = "CUPTI_ACTIVITY_KIND_RUNTIME", "CUPTI_ACTIVITY_KIND_DRIVER"
"""Exports have the calls of both APIs in the first; the second is read where it is there."""

UNKNOWN = -1
"""Region of a call whose region cannot be told."""


class Calls:
    """The API calls of one export, as they lie in it.

    Args:
        database: an export.
        whole: whether the calls table is wanted, too, and not only what joins need.
    """

    def __init__(self, database: Database, *, whole: bool) -> None:
        self._database = database
        self._threads, self._names = Codes(), Codes()
        wanted: dict[str, Wanted] = {
            "start": Column(("start",)),
            "thread": Column(("globalTid",), codes=self._threads),
            "correlation": Column(("correlationId",)),
        }
        if whole:
            wanted["end"] = Column(("end",))
            wanted["return_code"] = Column(("returnValue",), pa.int32())
            wanted["name"] = Column(("nameId",), codes=self._names)
        tables = [table for table in (RUNTIME, DRIVER) if table in database.columns]
        self._frame = scan(database, dict.fromkeys(tables, wanted))
        self._places = self._frame.places()
        starts = self._column("start")
        self._order = None if _sorted(starts) else np.argsort(starts, kind="stable")
        self.starts = self._ordered(starts)
        self.correlations = self._ordered(self._column("correlation"))
        codes = self._ordered(self._column("thread"))
        self.threads = np.append(self._threads.keys, -1).take(codes)
        self._regions: Array | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def _column(self, name: str) -> Array:
        filled = self._frame.filled(name)
        return filled if self._places is None else filled.take(self._places)

    def _ordered(self, numbers: Array) -> Array:
        return numbers if self._order is None else numbers.take(self._order)

    def put_into(self, ranges: Ranges) -> None:
        """Find the region in which each began."""
        self._regions = ranges.at(self.threads, self.starts)

    def regions_of(self, calls: Array) -> Array:
        """The region of each of these calls, `UNKNOWN` where there is no call."""
        if self._regions is None or not len(self):
            return np.full(len(calls), UNKNOWN)
        return np.where(calls < 0, UNKNOWN, self._regions.take(calls))

    def launching(self, processes: Array, correlations: Array) -> Array:
        """The number of the call that launched each activity, -1 where there is none.

        Args:
            processes: ``globalPid``, shape (n,).
            correlations: correlation ids, which are counted by process, shape (n,).
        """
        found = np.full(len(correlations), -1, np.int64)
        mine = global_process_of(self.threads)
        for process in np.unique(processes).tolist():
            asked = _where(processes == process)
            made = _where(mine == process)
            known = self.correlations[made]
            slots = Slots([known])
            table = np.full(slots.count + 1, -1, np.int64)
            # Backwards, so that of calls with one id the first stays.
            table[slots.of(known)[::-1]] = np.arange(len(self))[made][::-1]
            table[0] = -1
            found[asked] = table[slots.of(correlations[asked])]
        found[correlations < 0] = -1
        return found

    def table(self) -> pa.Table:
        """The calls table, in start order."""
        names = np.array([*self._words(), "<unknown>"], object)
        columns = {
            "name": pa.DictionaryArray.from_arrays(*self._name_codes(names.tolist())),
            "start_ns": pa.array(self.starts),
            "end_ns": self._numbers("end"),
            "process": pa.array(process_of(self.threads), mask=self.threads < 0),
            "thread": pa.array(thread_of(self.threads), mask=self.threads < 0),
            "correlation": self._numbers("correlation"),
            "return_code": self._numbers("return_code"),
        }
        if self._regions is not None:
            columns["region"] = pa.array(self._regions)
        return calls_table({name: one for name, one in columns.items() if one is not None})

    def _words(self) -> list[str]:
        ids = self._names.keys.tolist()
        known = strings(self._database, ids)
        return [known.get(one, f"<string {one}>") for one in ids]

    def _name_codes(self, words: list[str]) -> tuple[pa.Array, pa.Array]:
        distinct = list(dict.fromkeys(words))
        number = np.array([distinct.index(word) for word in words], np.int32)
        codes = self._ordered(self._column("name"))
        return pa.array(number.take(codes)), pa.array(distinct, pa.string())

    def _numbers(self, name: str) -> pa.Array | None:
        values = self._frame.columns.get(name)
        if values is None:
            return None
        missing = values.missing
        if missing is not None:
            missing = self._ordered(missing if self._places is None else missing[self._places])
        return pa.array(self._ordered(self._column(name)), mask=missing)


def _sorted(starts: Array) -> bool:
    return bool((starts[:-1] <= starts[1:]).all())


def _where(mask: Array) -> Array | slice:
    return slice(None) if bool(mask.all()) else np.flatnonzero(mask)
