"""An ended session to its Trace."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from harness.record.cupti import binding, captures
from harness.record.cupti.decode import Records, decode
from harness.record.cupti.fields import Kind
from harness.record.cupti.layout import Layouts
from harness.record.cupti.markers import ranges, region_at
from harness.record.cupti.memory import Strings
from harness.record.cupti.nodes import NodeRegions, RegionAt
from harness.record.cupti.session import Session, pool
from harness.record.cupti.summary import summarise
from harness.record.cupti.tables import Known, Refine, build
from harness.record.regions import OpenRegion, RegionLog, new_region_id
from harness.trace import Trace, regions_table
from harness.trace.schema import OUTSIDE

Row = dict[str, Any]


def make_trace(session: Session, cupti: binding.Cupti, layouts: Layouts) -> Trace:
    """Read the session's buffers and give them back.

    Args:
        session: ended.
        cupti: the library that recorded.
        layouts: of its records.
    """
    began = time.perf_counter_ns()
    records = decode((one.records for one in session.filled), layouts)
    strings = Strings()
    rows = session.log.rows
    attached = [row for row in rows if row["id"] not in session.log.elsewhere]
    unlabelled = Unlabelled(attached, session.listened_until_ns)
    refine: list[Refine] = [unlabelled, _elsewhere(session.log), session.backward.regions_of]
    nvtx = _ranges(records, strings, session) if len(records.of[Kind.MARKER]) else []
    if nvtx:
        refine.append(_innermost(nvtx, rows))
        _place(nvtx, session)
        rows = [*rows, *nvtx]
    known = Known(
        process=session.process,
        name_of=strings.at,
        regions=[row["id"] for row in rows],
        own=session.marks,
        api_names={
            Kind.RUNTIME: cupti.api_names(binding.RUNTIME_DOMAIN),
            Kind.DRIVER: cupti.api_names(binding.DRIVER_DOMAIN),
        },
        nodes_made=session.captures.nodes_made if session.captures else None,
        nodes=captures.nodes,
        refine=tuple(refine),
    )
    tables = build(records, known)
    if unlabelled.count:
        session.notes.append(
            f"{unlabelled.count} calls were made in a region and carry no id of it: what they "
            "launched is not in that region"
        )
    if session.backward.ambiguous:
        session.notes.append(
            f"{session.backward.ambiguous} calls of autograd threads are in no region: backward "
            "passes of different regions ran at the time"
        )
    rows += _earlier(captures.nodes, tables.replays.graphs, rows)
    regions = regions_table(rows)
    taken = (time.perf_counter_ns() - began) / 1e3
    if strings.unreadable:
        session.problems.append(f"{strings.unreadable} names in records point to no readable text")
    info = summarise(session, cupti, records, tables, taken)
    pool().recycle(session.filled)
    session.filled = []
    captures.nodes.forget_ended()
    return Trace(tables.activities, info, regions, tables.calls)


def _ranges(records: Records, strings: Strings, session: Session) -> list[Row]:
    rows, problems = ranges(
        records.of[Kind.MARKER], strings.at, session.process, new_ids=new_region_id
    )
    session.notes += problems
    return rows


class Unlabelled:
    """Counts calls that were made inside a region, by thread and time, and lack its id: records of
    ids were lost then. A region's row begins after its id is attached and ends before it is
    detached.

    Args:
        rows: regions whose ids were attached.
        until_ns: later calls do not count.
    """

    def __init__(self, rows: list[Row], until_ns: int) -> None:
        self._rows = [row for row in rows if row.get("start_ns")]
        self._until_ns = until_ns
        self.count = 0

    def __call__(self, threads: Any, times: Any, regions: Any) -> Any:
        """The regions as they are; see `Attribution.refine`."""
        loose = np.flatnonzero((regions == OUTSIDE) & (times < self._until_ns))
        if len(loose) and self._rows:
            found = region_at(self._rows, threads[loose], times[loose])
            self.count += int((found != OUTSIDE).sum())
        return regions


def _elsewhere(log: RegionLog) -> Refine:
    """Calls in no region go to what was open on their thread when the recording began: no ids could
    be attached to them, for that a thread has to do itself."""
    rows = [row for row in log.rows if row["id"] in log.elsewhere]

    def refine(threads: Any, times: Any, regions: Any) -> Any:
        if not rows:
            return regions
        return np.where(regions == OUTSIDE, region_at(rows, threads, times), regions)

    return refine


def _place(nvtx: list[Row], session: Session) -> None:
    """Put nodes and backward passes outside every region of the harness into NVTX ranges."""
    regions_at = _regions_at(nvtx)
    captures.nodes.place(regions_at)
    loose = [one for one in session.backward.passes if not one.regions]
    threads = np.array([one.thread for one in loose], np.int64)
    times = np.array([one.start_ns for one in loose], np.int64)
    for one, regions in zip(loose, regions_at(threads, times), strict=True):
        one.regions = tuple(regions)


def _innermost(nvtx: list[Row], rows: list[Row]) -> Refine:
    """Calls go to the NVTX range that is open around them, unless a region of the harness, or of a
    backward pass, was entered later and is the inner one."""
    began = {row["id"]: row["start_ns"] or 0 for row in (*rows, *nvtx) if "start_ns" in row}
    ids = np.array(sorted(began), np.int64)
    starts = np.array([began[one] for one in ids.tolist()], np.int64)

    def start_of(regions: Any) -> Any:
        at = np.minimum(np.searchsorted(ids, regions), len(ids) - 1)
        return np.where(ids[at] == regions, starts[at], -1)

    def refine(threads: Any, times: Any, regions: Any) -> Any:
        found = region_at(nvtx, threads, times)
        return np.where(start_of(found) > start_of(regions), found, regions)

    return refine


def _regions_at(nvtx: list[Row]) -> RegionAt:
    """The NVTX ranges that are open on a thread at a time, outermost first."""
    by_id = {row["id"]: OpenRegion(row["id"], row["name"], row["parent"]) for row in nvtx}

    def chain(innermost: int) -> tuple[OpenRegion, ...]:
        found = []
        here = by_id.get(innermost)
        while here is not None:
            found.append(here)
            here = by_id.get(here.parent or OUTSIDE)
        return tuple(reversed(found))

    def regions_at(threads: Any, times: Any) -> list[tuple[OpenRegion, ...]]:
        return [chain(one) for one in region_at(nvtx, threads, times).tolist()]

    return regions_at


def _earlier(nodes: NodeRegions, graphs: Iterable[int], rows: list[Row]) -> list[Row]:
    """Rows of the regions, with those around them, in which graphs were captured before."""
    here = {row["id"] for row in rows}
    return [
        {"id": one.id, "name": one.name, "parent": one.parent}
        for one in nodes.regions(graphs).values()
        if one.id not in here
    ]
