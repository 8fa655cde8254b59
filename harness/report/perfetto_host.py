"""What the host did as slices: regions and CUDA API calls, together on the row of their thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from harness.analyze.selection import Ints, grouped, has_values
from harness.report.perfetto_events import Event, flow, span
from harness.report.perfetto_flows import NO_FLOW
from harness.report.perfetto_lanes import in_lane, nested_lanes
from harness.report.perfetto_tracks import Tracks
from harness.trace import Trace

_MARK = "Mark"


@dataclass(frozen=True)
class HostTracks:
    """Tracks of the threads of a Trace.

    Args:
        trace: a recording.
        flows: number of the arrow of each call, shape (n,).
        tracks: gives numbers.
        last_ns: when regions that are still open end here.
    """

    trace: Trace
    flows: Ints
    tracks: Tracks
    last_ns: int

    def slices(self) -> Iterator[Event]:
        """Regions, calls, and the start of each arrow; times in ns."""
        rows = self._rows()
        if not rows.num_rows:
            return
        for (process, thread), mine in grouped(rows, "process", "thread"):
            table = rows if isinstance(mine, slice) else rows.take(pa.array(mine))
            yield from self._thread(process, thread, table)

    def _rows(self) -> pa.Table:
        """Regions and calls in one table, by start, of equal ones the longest first."""
        regions = self.trace.regions.filter(pa.array(has_values(self.trace.regions, "start_ns")))
        calls = self.trace.calls.append_column("flow", pa.array(self.flows))
        calls = calls.filter(pa.array(has_values(self.trace.calls, "start_ns", "end_ns")))
        calls = calls.set_column(
            calls.schema.get_field_index("name"), "name", calls["name"].cast(pa.string())
        )
        is_call = pa.array([False] * regions.num_rows + [True] * calls.num_rows)
        both = pa.concat_tables([regions, calls], promote_options="default")
        both = both.append_column("is_call", is_call)
        ends = both["end_ns"].fill_null(self.last_ns)
        both = both.append_column("until", ends)
        return both.sort_by(
            [("start_ns", "ascending"), ("until", "descending"), ("is_call", "ascending")]
        )

    def _thread(self, process: int | None, thread: int | None, table: pa.Table) -> Iterator[Event]:
        known = "?" if process is None else str(process)
        pid = self.tracks.process(("host", process), f"process {known}", process)
        name = "no single thread" if thread is None else f"thread {thread}"
        lanes = nested_lanes(table["start_ns"].to_pylist(), table["until"].to_pylist())
        at = 0
        for batch in table.to_batches():
            for row in batch.to_pylist():
                lane = lanes[at]
                at += 1
                tid = self.tracks.thread(
                    pid, ("host", thread, lane), in_lane(name, lane), None if lane else thread
                )
                yield from self._events(row, pid, tid)

    def _events(self, row: dict[str, Any], pid: int, tid: int) -> Iterator[Event]:
        if row["is_call"]:
            args = {key: row[key] for key in ("correlation", "return_code") if row[key] is not None}
            yield span("cuda_runtime", row["name"], pid, tid, row["start_ns"], row["until"], args)
            if row["flow"] != NO_FLOW:
                yield flow("s", row["flow"], pid, tid, row["start_ns"])
            return
        name = row["name"] or ""
        args = {key: row[key] for key in ("domain", "style") if row[key] is not None}
        if row["style"] == _MARK:
            place = {"pid": pid, "tid": tid, "ts": row["start_ns"]}
            yield {"ph": "i", "s": "t", "cat": "user_annotation", "name": name, **place}
            return
        if row["end_ns"] is None:
            args["still open"] = True
        yield span("user_annotation", name, pid, tid, row["start_ns"], row["until"], args)
