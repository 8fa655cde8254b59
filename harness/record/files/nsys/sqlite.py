"""An SQLite export of Nsight Systems to a Trace."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.errors import InputError, NoSignalError, TraceFormatError
from harness.record.files.nsys import info
from harness.record.files.nsys.activities import Activities
from harness.record.files.nsys.calls import DRIVER, RUNTIME, Calls
from harness.record.files.nsys.database import Database
from harness.record.files.nsys.layout import COPIES, FILLS, GRAPHS, KERNELS
from harness.record.files.nsys.nodes import NODES, Nodes
from harness.record.files.nsys.regions import NVTX, Regions
from harness.record.files.nsys.strings import STRINGS
from harness.trace import Trace, TraceInfo, calls_table, regions_table

Array = npt.NDArray[Any]

LEAVE_OUT = ("launch configurations", "copies", "regions", "calls")
"""What `read_nsys_sqlite` can be told not to read."""


def read_nsys_sqlite(path: str | Path, *, leave_out: Collection[str] = ()) -> Trace:
    """Read what ``nsys export --type sqlite`` wrote, of any release.

    What is there is known by the tables and columns, not by the version. A kernel's region is the
    NVTX range in which its launch began, that of a graph's node the one in which it was captured.

    Args:
        path: of the export; it is only read, and nothing is written beside it.
        leave_out: of `LEAVE_OUT`, what is not needed: reading takes time and memory for it. It is
            named in the notes of the Trace. Without calls the regions still are found through
            them.

    Raises:
        InputError: there is no such file, it is still being written, or ``leave_out`` is wrong.
        TraceFormatError: it is no export of Nsight Systems, or a damaged one.
        NoSignalError: it holds neither a kernel nor a launch of a whole graph.
    """
    unknown = sorted(set(leave_out) - set(LEAVE_OUT))
    if unknown:
        raise InputError(f"{unknown} cannot be left out", fix=f"choose of {', '.join(LEAVE_OUT)}")
    source = Path(path)
    with Database(source) as database:
        if KERNELS not in database.columns and STRINGS not in database.columns:
            raise TraceFormatError(
                f"{source} is an SQLite file, but no export of Nsight Systems",
                fix="pass what nsys export --type sqlite wrote",
            )
        return _Reader(database, frozenset(leave_out)).trace()


class _Reader:
    def __init__(self, database: Database, leave_out: frozenset[str]) -> None:
        self._database = database
        self._leave_out = leave_out
        self._notes = [f"not read, as asked: {one}" for one in LEAVE_OUT if one in leave_out]

    def trace(self) -> Trace:
        activities = self._activities()
        regions = self._regions()
        calls = self._calls(regions)
        launches: Array | None = None
        if calls is not None:
            launches = calls.launching(activities.processes, activities.correlations)
        attributed = self._attributed(activities, regions, calls, launches)
        no_launch = 0 if launches is None else int((launches < 0).sum())
        whole = calls is not None and "calls" not in self._leave_out
        return Trace(
            activities.table(attributed),
            self._info(no_launch, activities),
            regions.table if regions is not None else regions_table({}),
            calls.table() if calls is not None and whole else calls_table({}),
        )

    def _activities(self) -> Activities:
        tables = [KERNELS, GRAPHS]
        if "copies" not in self._leave_out:
            tables += [COPIES, FILLS]
        found = Activities(
            self._database, tables, launch="launch configurations" not in self._leave_out
        )
        if not found.counts.get(KERNELS) and not found.counts.get(GRAPHS):
            _, warnings = info.diagnostics(self._database)
            reason = f" ({warnings[0]})" if warnings else ""
            raise NoSignalError(
                f"{self._database.path} holds no kernel{reason}",
                fix="profile a part that launches kernels, with nsys profile --trace=cuda,nvtx",
            )
        if not found.counts.get(KERNELS):
            self._notes.append("there are launches of whole CUDA graphs, but no kernels")
        return found

    def _regions(self) -> Regions | None:
        if "regions" in self._leave_out:
            return None
        if NVTX not in self._database.columns:
            self._notes.append("there are no NVTX events, so nothing is in a region")
            return None
        return Regions(self._database)

    def _calls(self, regions: Regions | None) -> Calls | None:
        if "calls" in self._leave_out and regions is None:
            return None
        if not {RUNTIME, DRIVER} & set(self._database.columns):
            self._notes.append("there are no API calls, so nothing is in a region")
            return None
        calls = Calls(self._database, whole="calls" not in self._leave_out)
        if regions is not None:
            calls.put_into(regions.ranges)
        return calls

    def _attributed(
        self,
        activities: Activities,
        regions: Regions | None,
        calls: Calls | None,
        launches: Array | None,
    ) -> dict[str, pa.Array]:
        if regions is None or calls is None or launches is None:
            return {}
        launched = calls.regions_of(launches)
        region = launched
        nodes = activities.nodes
        if nodes is not None:
            of_graph = np.flatnonzero(nodes >= 0)
            region = launched.copy()
            region[of_graph] = self._captured(
                activities.processes[of_graph], nodes[of_graph], regions
            )
        column = pa.array(launched, mask=launched < 0)
        return {
            "launched_in": column,
            "region": column if region is launched else pa.array(region, mask=region < 0),
        }

    def _captured(self, processes: Array, nodes: Array, regions: Regions) -> Array:
        if NODES not in self._database.columns:
            self._notes.append("it is not known in which regions the nodes of graphs were captured")
            return np.full(len(nodes), -1)
        return Nodes(self._database, regions.ranges).regions_of(processes, nodes)

    def _info(self, no_launch: int, activities: Activities) -> TraceInfo:
        lost, warnings = info.diagnostics(self._database)
        if activities.untimed:
            lost.append(f"{activities.untimed} activities have no start or end, or end too early")
        if no_launch:
            lost.append(f"{no_launch} activities have no recorded launch call, so no known region")
        return TraceInfo(
            source="nsys",
            chosen_because=f"read from {self._database.path.name}",
            created=info.created(self._database),
            versions=info.versions(self._database),
            gpu=info.gpu(self._database),
            unattributed=no_launch,
            incomplete=tuple(lost),
            notes=(*self._notes, *activities.notes, *warnings),
        )
