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
from harness.record.regions import NVTX_DOMAIN, OpenRegion, new_region_id
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
    refine: list[Refine] = [session.backward.regions_of]
    if len(records.of[Kind.MARKER]):
        nvtx = _ranges(records, strings, session)
        refine.append(_innermost(nvtx, rows))
        captures.nodes.place(_regions_at(nvtx))
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
        nodes=captures.nodes,
        refine=tuple(refine),
    )
    tables = build(records, known)
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
        {"id": one.id, "name": one.name, "parent": one.parent, "domain": NVTX_DOMAIN}
        for one in nodes.regions(graphs).values()
        if one.id not in here
    ]
