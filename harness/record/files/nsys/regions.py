"""NVTX ranges and marks of an export as regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.files.nsys.columns import Codes, Column, TextColumn, Texts, Wanted
from harness.record.files.nsys.database import Database, quoted
from harness.record.files.nsys.frame import Frame
from harness.record.files.nsys.ids import process_of, thread_of
from harness.record.files.nsys.innermost import OPEN, Ranges
from harness.record.files.nsys.scan import scan
from harness.record.files.nsys.strings import decoded, strings, text
from harness.record.regions import OUTSIDE_ROW
from harness.trace import regions_table
from harness.trace.schema import OUTSIDE

Array = npt.NDArray[Any]

NVTX = "NVTX_EVENTS"

_MARK, _PUSH_POP, _START_END, _DOMAIN = 34, 59, 60, 75
"""Of ENUM_NSYS_EVENT_TYPE: NvtxMark, NvtxPushPopRange, NvtxStartEndRange, NvtxDomainCreate."""

_STYLE = {_PUSH_POP: "PushPop", _START_END: "StartEnd", _MARK: "Mark"}


class Regions:
    """The regions of one export.

    Attributes:
        table: a regions table: first the row of what is in none, then by start.
        ranges: those that belong to a thread, to look up which was the innermost.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._texts = Texts()
        self._strings = Codes()
        self._frame = self._scan()
        rows = self._rows()
        starts = self._frame.filled("start")[rows]
        self._rows_in_order = rows[np.argsort(starts, kind="stable")]
        self.ranges, parents = self._ranges()
        self.table = self._table(parents)

    def _scan(self) -> Frame:
        wanted: dict[str, Wanted] = {
            "start": Column(("start",)),
            "end": Column(("end",)),
            "type": Column(("eventType",)),
            "thread": Column(("globalTid",)),
            "end_thread": Column(("endGlobalTid",)),
            "domain": Column(("domainId",)),
            "string": Column(("textId",), codes=self._strings),
            "text": TextColumn("text", self._texts),
        }
        return scan(self._database, {NVTX: wanted})

    def _rows(self) -> Array:
        """Rows that are ranges or marks and say when they began."""
        wanted = np.isin(self._frame.filled("type"), list(_STYLE))
        start = self._frame.columns.get("start")
        if start is None:
            wanted[:] = False
        elif start.missing is not None:
            wanted &= ~start.missing
        places = self._frame.places()
        return np.flatnonzero(wanted) if places is None else places[wanted[places]]

    def _column(self, name: str, missing: int = -1) -> Array:
        return self._frame.filled(name, missing)[self._rows_in_order]

    def _ranges(self) -> tuple[Ranges, Array]:
        """The ranges of threads, and the parent of every region, -1 where there is none."""
        starts, ends = self._column("start"), self._column("end", OPEN)
        threads, others = self._column("thread"), self._column("end_thread")
        ids = np.arange(1, len(starts) + 1)
        # What another thread ended belongs to no thread.
        own = (threads >= 0) & ((others < 0) | (others == threads))
        marks = self._column("type") == _MARK
        nested = own & ~marks
        ranges = Ranges(ids[nested], threads[nested], starts[nested], ends[nested])
        parents = np.full(len(ids) + 1, -1)
        known, around = ranges.parents()
        parents[known] = around
        at_mark = own & marks
        found = ranges.at(threads[at_mark], starts[at_mark])
        parents[ids[at_mark]] = np.where(found == OUTSIDE, -1, found)
        return ranges, parents[1:]

    def _table(self, parents: Array) -> pa.Table:
        threads = self._column("thread")
        ends, types = self._column("end", OPEN), self._column("type")
        starts = self._column("start")
        ends = np.where((types == _MARK) & (ends == OPEN), starts, ends)
        others = self._column("end_thread")
        no_thread = (threads < 0) | ((others >= 0) & (others != threads))
        columns = {
            "id": pa.array(np.arange(1, len(starts) + 1)),
            "name": self._names(),
            "parent": pa.array(parents, mask=parents < 0),
            "start_ns": pa.array(starts),
            "end_ns": pa.array(ends, mask=ends == OPEN),
            "process": pa.array(process_of(threads), mask=threads < 0),
            "thread": pa.array(thread_of(threads), mask=no_thread),
            "domain": self._domains(),
            "style": pa.array([_STYLE[one] for one in types.tolist()], pa.string()),
        }
        return pa.concat_tables([regions_table([OUTSIDE_ROW]), regions_table(columns)])

    def _names(self) -> pa.Array:
        """The text of each, else the registered string, else nothing."""
        ids = self._strings.keys.tolist()
        known = strings(self._database, ids)
        registered = [known.get(one, f"<string {one}>") for one in ids]
        texts = [decoded(one) for one in self._texts.keys]
        words = pa.array([*texts, *registered, ""], pa.string())
        plain = self._column("text").astype(np.int64)
        by_id = self._column("string").astype(np.int64)
        has_text = np.isin(plain, [at for at, one in enumerate(texts) if one])
        last = len(words) - 1
        number = np.where(has_text, plain, np.where(by_id >= 0, by_id + len(texts), last))
        return words.take(pa.array(number))

    def _domains(self) -> pa.Array:
        """The name of each one's domain, empty for the default domain."""
        ids, processes = self._column("domain", 0), process_of(self._column("thread"))
        names = self._domain_names()
        keys = np.stack([processes.astype(np.int64), ids], axis=1)
        distinct, number = np.unique(keys, axis=0, return_inverse=True)
        words = [
            names.get((process, domain)) or (f"domain {domain}" if domain else "")
            for process, domain in distinct.tolist()
        ]
        return pa.array(words, pa.string()).take(pa.array(number.reshape(-1)))

    def _domain_names(self) -> dict[tuple[int, int], str]:
        present = self._database.columns[NVTX]
        if not {"eventType", "domainId", "globalTid", "text"} <= set(present):
            return {}
        string = quoted("textId") if "textId" in present else "NULL"
        rows = self._database.rows(
            "SELECT globalTid AS thread, domainId AS domain, "
            f"{text('text')} AS text, {string} AS string FROM {quoted(NVTX)} WHERE eventType = ?"
            " AND typeof(globalTid) = 'integer' AND typeof(domainId) = 'integer'",
            _DOMAIN,
        )
        known = strings(self._database, [row["string"] for row in rows])
        processes = process_of(np.array([row["thread"] for row in rows], np.int64)).tolist()
        return {
            (process, row["domain"]): decoded(row["text"]) or known.get(row["string"], "")
            for process, row in zip(processes, rows, strict=True)
        }
