"""What the devices did as slices on the rows of their streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.selection import DEVICE_KINDS, Ints, grouped, ints, spans, timed
from harness.names import display_name
from harness.report.perfetto_events import Event, flow, span
from harness.report.perfetto_flows import NO_FLOW
from harness.report.perfetto_lanes import flat_lanes, in_lane
from harness.report.perfetto_tracks import Tracks

CATEGORIES = {
    "kernel": "kernel",
    "memcpy": "gpu_memcpy",
    "memset": "gpu_memset",
    "graph": "gpu_graph",
}
"""Kineto's categories, and one for whole launches of graphs."""

_ARGUMENTS = {
    "device": "device",
    "context": "context",
    "stream": "stream",
    "correlation": "correlation",
    "process": "process",
    "graph": "graph id",
    "graph_node": "graph node id",
    "grid": "grid",
    "block": "block",
    "cluster": "cluster",
    "registers": "registers per thread",
    "shared_static_bytes": "static shared memory",
    "bytes": "bytes",
    "value": "value",
}
"""Column of a Trace -> Kineto's name of the argument."""

_REGIONS = {"region": "region", "launched_in": "launched in"}
_NOT_SHOWN = ["inputs", "outputs"]
_BATCH = 1 << 15


class DeviceTracks:
    """Tracks of all streams of a Trace.

    Args:
        activities: of a Trace.
        flows: number of the arrow of each, shape (n,).
        regions: name by region id.
        tracks: gives numbers.

    Attributes:
        rows: the activities that are shown.
        tracks: as given.
    """

    def __init__(
        self, activities: pa.Table, flows: Ints, regions: dict[int, str], tracks: Tracks
    ) -> None:
        numbered = activities.drop_columns(_NOT_SHOWN).append_column("flow", pa.array(flows))
        self.rows = timed(numbered, *DEVICE_KINDS)
        self.tracks = tracks
        self._regions = regions
        self._pid = np.zeros(len(self), np.int64)
        self._tid = np.zeros(len(self), np.int64)
        if len(self):
            self._place()

    def __len__(self) -> int:
        """Number of activities that are shown."""
        return int(self.rows.num_rows)

    @property
    def first_ns(self) -> int:
        """When the first began; there is at least one."""
        return int(ints(self.rows["start_ns"]).min())

    @property
    def last_ns(self) -> int:
        """When the last ended."""
        return int(ints(self.rows["end_ns"]).max())

    def pid_of(self, process: int | None, device: int | None) -> int:
        """The number of a device as one process used it."""
        name = f"GPU {_id(device)} of process {_id(process)}"
        return self.tracks.process(("device", process, device), name)

    def kernels(self) -> Iterator[tuple[int, Ints, Ints]]:
        """Of each device its number, and starts and ends of its kernels in ns."""
        columns = ["kind", "name", "start_ns", "end_ns", "process", "device"]
        kernels = timed(self.rows.select(columns), "kernel")
        if not kernels.num_rows:
            return
        starts, ends = spans(kernels)
        for (process, device), rows in grouped(kernels, "process", "device"):
            yield self.pid_of(process, device), starts[rows], ends[rows]

    def slices(self) -> Iterator[Event]:
        """Kernels, copies, fills and graphs, and the end of each arrow."""
        for first in range(0, len(self), _BATCH):
            pids = self._pid[first : first + _BATCH].tolist()
            tids = self._tid[first : first + _BATCH].tolist()
            rows = self.rows.slice(first, _BATCH).to_pylist()
            for row, pid, tid in zip(rows, pids, tids, strict=True):
                yield self._slice(row, pid, tid)
                if row["flow"] != NO_FLOW:
                    yield flow("f", row["flow"], pid, tid, row["start_ns"])

    def _place(self) -> None:
        """Give each activity its row."""
        starts, ends = spans(self.rows)
        for (process, device, stream), rows in grouped(self.rows, "process", "device", "stream"):
            pid = self.pid_of(process, device)
            lanes = flat_lanes(starts[rows], ends[rows])
            tids = [
                self.tracks.thread(
                    pid, ("stream", stream, lane), in_lane(f"stream {_id(stream)}", lane)
                )
                for lane in range(int(lanes.max()) + 1)
            ]
            self._pid[rows] = pid
            self._tid[rows] = np.array(tids, np.int64)[lanes]

    def _slice(self, row: dict[str, Any], pid: int, tid: int) -> Event:
        kind, name = row["kind"], row["name"]
        shown = f"Memcpy {name}" if kind == "memcpy" else display_name(name, kind)
        args = {
            label: row[column] for column, label in _ARGUMENTS.items() if row[column] is not None
        }
        if row["shared_dynamic_bytes"] is not None:
            split = row["shared_static_bytes"] is not None
            label = "dynamic shared memory" if split else "shared memory"
            args[label] = row["shared_dynamic_bytes"]
        if shown != name:
            args["symbol"] = name
        args |= {
            label: self._regions[row[column]]
            for column, label in _REGIONS.items()
            if row[column] in self._regions
        }
        return span(CATEGORIES[kind], shown, pid, tid, row["start_ns"], row["end_ns"], args)


def _id(number: int | None) -> str:
    return "?" if number is None else str(number)
