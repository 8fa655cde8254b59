"""Kernels, copies, fills and whole graph launches of an export, one below the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.files.nsys.columns import Codes, Column, Dim3Column, Wanted
from harness.record.files.nsys.database import Database
from harness.record.files.nsys.devices import machine_numbers, renumbered, shared_numbers
from harness.record.files.nsys.frame import Values
from harness.record.files.nsys.ids import process_of
from harness.record.files.nsys.layout import (
    COPIES,
    DIMS,
    DIRECTIONS,
    INTEGERS,
    KERNELS,
    KIND_OF,
    NAMES,
    UNNAMED,
)
from harness.record.files.nsys.scan import scan
from harness.record.files.nsys.strings import strings
from harness.record.files.times import check_times
from harness.trace import activities_table
from harness.trace.dims import dim3_values
from harness.trace.info import MACHINE_NUMBERS
from harness.trace.schema import ACTIVITIES, KINDS, LAUNCH_CONFIGURATION

Array = npt.NDArray[Any]


class Activities:
    """Activities of one export in start order.

    Args:
        database: an export.
        tables: those to read, of `KIND_OF`; what the export does not have is left out.
        launch: whether launch configurations are read, too.

    Attributes:
        counts: number of rows by table.
        notes: what a reader of the activities should know.
        untimed: how many have no usable times: no start or end, an end before the start, zeros.
    """

    def __init__(self, database: Database, tables: Collection[str], *, launch: bool = True) -> None:
        self._database = database
        self._launch = launch
        self._processes = Codes()
        self._dims = {name: Codes() for name in DIMS}
        self._names = {table: Codes() for table in NAMES}
        present = [one for one in KIND_OF if one in tables and one in database.columns]
        self.notes: list[str] = []
        self._frame = scan(database, {table: self._wanted(table) for table in present})
        self.counts = {table: n for table in present if (n := self._frame.count(table))}
        self._set_graphs()
        self._set_devices()
        self.untimed = self._void_untimed()
        self._order = _order(self._frame.filled("start_ns"), self._frame.places())

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def processes(self) -> Array:
        """``globalPid`` of each, shape (n,), -1 where there is none."""
        return np.append(self._processes.keys, -1).take(self._filled("process"))

    @property
    def correlations(self) -> Array:
        """Correlation id of each, shape (n,), -1 where there is none."""
        return self._filled("correlation")

    @property
    def nodes(self) -> Array | None:
        """Graph node id of each, shape (n,), -1 for what no node launched; None without nodes."""
        nodes = self._frame.columns.get("graph_node")
        return None if nodes is None or nodes.empty else self._filled("graph_node")

    def _set_graphs(self) -> None:
        """The graph of a node is in the upper half of the node's id, as CUPTI makes it."""
        graph, node = self._frame.columns.get("graph"), self._frame.columns.get("graph_node")
        if node is None or node.empty:
            return
        if graph is None:
            graph = self._frame.columns["graph"] = Values(self._frame.length, np.int64)
            graph.leave(slice(None))
        known = np.flatnonzero(self._frame.filled("graph_node") >= 0)
        graph.put(known, node.numbers[known] >> 32, np.zeros(len(known), np.bool_))

    def _set_devices(self) -> None:
        devices = self._frame.columns.get("device")
        gpus = machine_numbers(self._database)
        several = len(self._processes.keys) > 1
        same = all(gpu == device for (_, device), gpu in gpus.items())
        if devices is None or not (several or (gpus and not same)):
            return
        places = self._frame.places()
        rows = slice(None) if places is None else places
        mine = devices.numbers[rows]
        processes = np.append(self._processes.keys, -1).take(self._frame.filled("process")[rows])
        numbers = renumbered(mine, processes, gpus)
        if numbers is not None:
            devices.numbers[rows] = numbers
            self.notes.append(MACHINE_NUMBERS)
        elif shared := shared_numbers(mine, processes):
            self.notes.append(
                f"device numbers {shared} are of several processes, which number devices by"
                " themselves: they may be different GPUs"
            )

    def _void_untimed(self) -> int:
        """Take both times from rows that have no start, no end, an end before the start, or zeros.

        Raises:
            TraceFormatError: a time that no clock gives.
        """
        start, end = self._frame.columns.get("start_ns"), self._frame.columns.get("end_ns")
        if start is None or end is None:
            return len(self)
        wrong = (end.numbers < start.numbers) | ((start.numbers == 0) & (end.numbers == 0))
        for values in (start, end):
            check_times(values.numbers, str(self._database.path))
            if values.missing is not None:
                wrong |= values.missing
        places = self._frame.places()
        found = np.flatnonzero(wrong) if places is None else places[wrong[places]]
        if len(found):
            start.leave(found)
            end.leave(found)
        return len(found)

    def _wanted(self, table: str) -> dict[str, Wanted]:
        wanted: dict[str, Wanted] = {
            name: Column(sources, ACTIVITIES.field(name).type)
            for name, sources in INTEGERS.items()
            if self._launch or name not in LAUNCH_CONFIGURATION
        }
        wanted["process"] = Column(("globalPid",), codes=self._processes)
        for name, three in DIMS.items() if self._launch else ():
            wanted[name] = Dim3Column(three, self._dims[name])
        if table in NAMES:
            wanted["name"] = Column(NAMES[table], codes=self._names[table])
        return wanted

    def _filled(self, name: str) -> Array:
        return self._ordered(self._frame.filled(name))

    def _ordered(self, numbers: Array) -> Array:
        return numbers if self._order is None else numbers.take(self._order)

    def table(self, more: Mapping[str, Any]) -> pa.Table:
        """The activities table.

        Args:
            more: further columns, in its order.
        """
        columns: dict[str, Any] = {
            "kind": self._kinds(),
            "name": self._named(),
            "process": self._system_processes(),
        }
        with ThreadPoolExecutor(2) as pool:
            names = (*INTEGERS, *DIMS)
            for name, column in zip(names, pool.map(self._column, names), strict=True):
                if column is not None:
                    columns[name] = column
        return activities_table({**columns, **more})

    def _kinds(self) -> pa.Array:
        numbers = np.empty(self._frame.length, np.int8)
        for table, stretches in self._frame.stretches.items():
            for rows in stretches:
                numbers[rows] = KINDS.index(KIND_OF[table])
        return _dictionary(self._ordered(numbers), list(KINDS))

    def _system_processes(self) -> pa.Array:
        codes = self._filled("process")
        known = process_of(np.append(self._processes.keys, 0))
        missing = codes < 0
        return pa.array(known.take(codes), mask=missing if missing.any() else None)

    def _named(self) -> pa.Array:
        vocabulary: dict[str, int] = {}
        codes = self._frame.filled("name").astype(np.int32, copy=False)
        numbers = np.empty(self._frame.length, np.int32)
        for table, stretches in self._frame.stretches.items():
            words = (*self._words(table), UNNAMED[table])
            number = [vocabulary.setdefault(word, len(vocabulary)) for word in words]
            for rows in stretches:
                numbers[rows] = np.array(number, np.int32).take(codes[rows])
        return _dictionary(self._ordered(numbers), list(vocabulary))

    def _words(self, table: str) -> list[str]:
        """The name of each code of a table."""
        if table not in self._names:
            return []
        keys = self._names[table].keys.tolist()
        if table == KERNELS:
            texts = strings(self._database, keys)
            return [texts.get(one, f"<string {one}>") for one in keys]
        if table == COPIES:
            known = dict(enumerate(DIRECTIONS))
            return [known.get(one, DIRECTIONS[0]) for one in keys]
        return [f"graph {one}" for one in keys]

    def _column(self, name: str) -> pa.Array | None:
        """A column in order; None where no row has a value."""
        values = self._frame.columns.get(name)
        if values is None or values.empty:
            return None
        missing = None if values.missing is None else self._ordered(values.missing)
        column = pa.array(self._ordered(values.numbers), mask=missing)
        self._frame.columns.pop(name)  # so that only one column is there twice
        if name in INTEGERS:
            return column
        return pa.DictionaryArray.from_arrays(column, dim3_values(self._dims[name].keys))


def _dictionary(numbers: Array, words: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(words, pa.string()))


def _order(start: Array, places: Array | None) -> Array | None:
    """Places of the rows in the order of their starts, equal ones as they are; None where they lie
    in that order already."""
    known = start if places is None else start.take(places)
    if places is None and bool((known[:-1] <= known[1:]).all()):
        return None
    order = np.argsort(known, kind="stable")
    return order if places is None else places.take(order)
