"""Records of one recording to the tables of its Trace."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.cupti.apis import launches_graph, launches_kernel
from harness.record.cupti.attribution import Attribution, Joined
from harness.record.cupti.columns import Activities, Order, order_of, words
from harness.record.cupti.decode import Records, Rows
from harness.record.cupti.fields import Kind
from harness.record.cupti.nodes import NodeRegions
from harness.record.cupti.replays import Replays, check_replays
from harness.trace import calls_table

Array = npt.NDArray[Any]
Refine = Callable[[Array, Array, Array], Array]
"""(threads, times in ns, regions so far) -> regions: see `Attribution.refine`."""


@dataclass(frozen=True)
class Known:
    """What the recorder knows beside the records.

    Attributes:
        process: id of this process.
        regions: ids that the recorder attached; any other external id is somebody else's.
        own: external ids that mark the recorder's own launches, which are left out.
        name_of: kernel name by the pointer in its record; asked once per distinct pointer.
        api_names: names of API calls by record kind (`Kind.RUNTIME`, `Kind.DRIVER`) and id.
        nodes_made: nodes of graphs captured meanwhile, whose launches left no activity; None where
            that is not known.
        nodes: regions in which the nodes of CUDA graphs were captured.
        refine: corrections of a call's region by thread and time, in order.
    """

    process: int
    name_of: Callable[[int], str] = hex
    regions: Collection[int] = ()
    own: Collection[int] = ()
    api_names: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    nodes_made: int | None = None
    nodes: NodeRegions = field(default_factory=NodeRegions)
    refine: tuple[Refine, ...] = ()


@dataclass(frozen=True)
class Tables:
    """What the records come to.

    Attributes:
        activities: kernels, memcpys and memsets by start, then correlation id.
        calls: API calls by start.
        unattributed: activities whose launching call was not recorded, those in ``bodies`` aside.
        bodies: activities of bodies of conditional nodes, which CUPTI reports without a launch.
        untimed: activities without a start or an end.
        first_ns, last_ns: earliest start and latest end of any activity; 0 when there is none.
        stray: ids of regions and marks whose call was not recorded.
        silent: kernel launches without a kernel, and graph launches without any activity.
        marks_seen: ids of the recorder's own launches that were among the records.
        replays: what the replays of CUDA graphs gave.
    """

    activities: pa.Table
    calls: pa.Table
    unattributed: int
    bodies: int
    untimed: int
    first_ns: int
    last_ns: int
    stray: int
    silent: tuple[int, int]
    marks_seen: frozenset[int]
    replays: Replays


def build(records: Records, known: Known) -> Tables:
    """Put records into columns, without a Python step per record."""
    attribution = Attribution(records, known.regions, known.own)
    for refine in known.refine:
        attribution.refine(refine)
    activities = Activities(records)
    start, correlation = activities.field("start"), activities.field("correlation_id")
    joined = attribution.join(correlation)
    graph, node = activities.field("graph_id"), activities.field("graph_node_id")
    region = known.nodes.regions_of(graph, node, joined.region)
    order = _kept(joined, order_of(start, correlation))
    more = _regions(joined.region, region, order)
    table = activities.table(
        order,
        {"process": np.full(len(next(iter(more.values()))), known.process, np.int32), **more},
        known.name_of,
    )
    orphans = ~joined.called
    bodies = orphans & (graph != 0) & (correlation == 0)
    end = activities.field("end")
    return Tables(
        activities=table,
        calls=_calls(attribution, records, known.api_names),
        unattributed=int(orphans.sum()) - int(bodies.sum()),
        bodies=int(bodies.sum()),
        untimed=int(((end == 0) | (start == 0)).sum()),
        first_ns=int(start.min()) if len(start) else 0,
        last_ns=int(end.max()) if len(end) else 0,
        stray=attribution.stray,
        silent=_silent(attribution, correlation, known),
        marks_seen=attribution.marks_seen,
        replays=check_replays(graph, node, correlation, known.nodes),
    )


def _silent(attribution: Attribution, active: Array, known: Known) -> tuple[int, int]:
    """Kernel launches and graph launches that should have left activities and did not."""

    def count(wanted: Callable[[str], bool]) -> int:
        calls = {
            kind: [cbid for cbid, name in names.items() if wanted(name)]
            for kind, names in known.api_names.items()
        }
        return len(attribution.silent(calls, active))

    made = known.nodes_made
    kernels = 0 if made is None else max(0, count(launches_kernel) - made)
    return kernels, count(launches_graph)


def _kept(joined: Joined, order: Order) -> Order:
    """The order without the recorder's own launches."""
    if not joined.own.any():
        return order
    if isinstance(order, slice):
        return np.flatnonzero(~joined.own)
    return order[~joined.own[order]]


def _regions(launched: Array, region: Array, order: Order) -> dict[str, pa.Array]:
    column = pa.array(region[order])
    same = region is launched
    return {"region": column, "launched_in": column if same else pa.array(launched[order])}


def _calls(
    attribution: Attribution, records: Records, api_names: Mapping[int, Mapping[int, str]]
) -> pa.Table:
    parts: list[Rows] = [records.of[api] for api in (Kind.RUNTIME, Kind.DRIVER)]
    parts = [rows for rows in parts if len(rows)]
    if not parts:
        return calls_table({})

    def joined(name: str) -> Array:
        columns = [rows[name] for rows in parts]
        return columns[0] if len(columns) == 1 else np.concatenate(columns)

    correlation = joined("correlation_id")
    found = attribution.join(correlation)
    order = _kept(found, order_of(joined("start"), correlation))
    pairs = joined("kind").astype(np.int64) << 32 | joined("cbid").astype(np.int64)
    encoded = pa.array(pairs[order]).dictionary_encode()
    names = [_api_name(int(pair), api_names) for pair in encoded.dictionary.to_numpy()]

    def column(name: str, dtype: type[np.signedinteger[Any]]) -> pa.Array:
        return pa.array(joined(name)[order].astype(dtype, copy=False))

    return calls_table(
        {
            "name": words(encoded.indices.to_numpy(), names),
            "start_ns": column("start", np.int64),
            "end_ns": column("end", np.int64),
            "process": column("process_id", np.int32),
            "thread": column("thread_id", np.int64),
            "correlation": column("correlation_id", np.int64),
            "return_code": column("return_value", np.int32),
            "region": pa.array(found.region[order]),
        }
    )


def _api_name(pair: int, api_names: Mapping[int, Mapping[int, str]]) -> str:
    kind, cbid = pair >> 32, pair & 0xFFFFFFFF
    return api_names.get(kind, {}).get(cbid, f"{Kind(kind).name.lower()} API {cbid}")
