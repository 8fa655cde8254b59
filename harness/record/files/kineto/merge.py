"""Traces of several ranks as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError
from harness.record.files.kineto.ranks import RankTrace
from harness.trace import Trace
from harness.trace.dims import DIM3_COLUMN, decode, encode
from harness.trace.schema import OUTSIDE


def merge_ranks(ranks: Sequence[RankTrace]) -> Trace:
    """One Trace of all ranks; columns ``process`` tell them apart, and a note names the rank.

    So they do for devices: a rank may see its own GPU as device 0, and a note says which numbers
    several ranks use.

    Process ids stay where each rank has one of its own; where two ranks have the same, as in
    containers, all get the number of their rank (or place, where a file names none). Times are
    those of each host's clock; several hosts' are not aligned.

    Raises:
        InputError: there is nothing to merge.
    """
    if not ranks:
        raise InputError("there is no trace to merge", fix="pass at least one file")
    named = [_named(one, place) for place, one in enumerate(ranks)]
    processes = [sorted(_processes(one.trace)) for one in ranks]
    every = [number for mine in processes for number in mine]
    kept = len(every) == len(set(every)) and all(len(mine) == 1 for mine in processes)
    traces = []
    next_region = 0
    for number, one in zip(named, ranks, strict=True):
        trace = one.trace if kept else _renumbered(one.trace, number)
        traces.append(_shifted(trace, next_region))
        next_region += one.trace.regions.num_rows
    notes = [
        f"process {mine[0] if kept else number} is rank {number}"
        for number, mine in zip(named, processes, strict=True)
    ]
    if not kept:
        notes.append("process ids are ranks, since ranks share ids")
    shared = _shared_devices(ranks)
    if shared:
        numbers = ", ".join(map(str, shared))
        notes.append(
            f"several ranks use device number {numbers} and may each mean another GPU; their "
            "processes tell them apart"
        )
    notes.append("clocks of several hosts are not aligned")
    return _joined(traces, named, notes)


def _named(one: RankTrace, place: int) -> int:
    return place if one.rank is None else one.rank


def _processes(trace: Trace) -> set[int]:
    found = pc.unique(trace.activities["process"]).to_pylist()
    return {number for number in found if number is not None}


def _shared_devices(ranks: Sequence[RankTrace]) -> list[int]:
    """Device numbers that more than one rank uses."""
    every = Counter(
        device for one in ranks for device in pc.unique(one.trace.activities["device"]).to_pylist()
    )
    return sorted(device for device, count in every.items() if device is not None and count > 1)


def _renumbered(trace: Trace, process: int) -> Trace:
    tables = {}
    for name in ("activities", "regions", "calls"):
        table: pa.Table = getattr(trace, name)
        column = pa.array([process] * table.num_rows, pa.int32())
        if name == "regions":
            column = pc.if_else(pc.equal(table["id"], OUTSIDE), None, column)
        tables[name] = table.set_column(
            table.schema.get_field_index("process"), table.schema.field("process"), column
        )
    return replace(trace, **tables)


def _shifted(trace: Trace, by: int) -> Trace:
    """With region ids, but that of `OUTSIDE`, so much larger."""
    regions = trace.regions
    if by:  # one row for what is outside is enough
        regions = regions.filter(pc.not_equal(regions["id"], OUTSIDE))
    return replace(
        trace,
        activities=_moved(trace.activities, ("region", "launched_in"), by),
        regions=_moved(regions, ("id", "parent"), by),
        calls=_moved(trace.calls, ("region",), by),
    )


def _moved(table: pa.Table, columns: Sequence[str], by: int) -> pa.Table:
    for name in columns:
        ids = table[name]
        moved = pc.if_else(pc.equal(ids, OUTSIDE), ids, pc.add(ids, by))
        table = table.set_column(
            table.schema.get_field_index(name), table.schema.field(name), moved
        )
    return table


def _joined(traces: Sequence[Trace], ranks: Sequence[int], notes: Sequence[str]) -> Trace:
    first = traces[0].info
    said = [(rank, one.info) for rank, one in zip(ranks, traces, strict=True)]
    common = [note for note in first.notes if all(note in info.notes for _, info in said)]
    own = [
        f"rank {rank}: {note}" for rank, info in said for note in info.notes if note not in common
    ]
    info = replace(
        first,
        created=max(one.info.created for one in traces),
        unattributed=sum(one.info.unattributed for one in traces),
        incomplete=tuple(f"rank {rank}: {why}" for rank, info in said for why in info.incomplete),
        notes=(*notes, *common, *own),
    )
    tables = {
        name: _concatenated([getattr(one, name) for one in traces])
        for name in ("activities", "regions", "calls")
    }
    tables["activities"] = _sorted(tables["activities"])
    return Trace(info=info, **tables)


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables, with one dictionary for each column of names or dim3."""
    columns = [_in_one([table[field.name] for table in tables]) for field in tables[0].schema]
    return pa.Table.from_arrays(columns, schema=tables[0].schema)


def _in_one(columns: Sequence[pa.ChunkedArray]) -> pa.Array:
    chunks = [chunk for column in columns for chunk in column.chunks]
    if columns[0].type.equals(DIM3_COLUMN):  # pyarrow does not unify dictionaries of lists
        return encode(pa.concat_arrays([decode(chunk) for chunk in chunks]))
    whole = pa.chunked_array(chunks, columns[0].type)
    return whole.unify_dictionaries().combine_chunks()


def _sorted(activities: pa.Table) -> pa.Table:
    """In start order."""
    order = pc.sort_indices(
        activities.select(["start_ns", "correlation"]),
        sort_keys=[("start_ns", "ascending"), ("correlation", "ascending")],
    )
    return activities.take(order)
