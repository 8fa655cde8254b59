"""Decoded records to the columns of a Trace."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.cupti.attribution import Attribution
from harness.record.cupti.decode import Records
from harness.record.cupti.layout import Kind
from harness.trace import activities_table, calls_table
from harness.trace.schema import DIM3

Rows = npt.NDArray[np.void]
Array = npt.NDArray[Any]

_DIRECTIONS = (
    "unknown", "HtoD", "DtoH", "HtoA", "AtoH", "AtoA", "AtoD", "DtoA", "DtoD", "HtoH", "PtoP",
)  # fmt: skip
"""By CUpti_ActivityMemcpyKind; A is a CUDA array."""

_TYPES = ("kernel", "memcpy", "memset")


@dataclass(frozen=True)
class Tables:
    """What the records come to.

    Attributes:
        activities: kernels, memcpys and memsets by start, then correlation id.
        calls: API calls by start.
        unattributed: activities whose launching call was not recorded.
        untimed: activities without a start or an end.
        marks_seen: ids of the recorder's own launches that were among the records.
    """

    activities: pa.Table
    calls: pa.Table
    unattributed: int
    untimed: int
    marks_seen: frozenset[int]


def build(
    records: Records,
    regions: Collection[int],
    own: Collection[int],
    name_of: Callable[[int], str],
    api_names: Mapping[int, Mapping[int, str]],
    process: int,
) -> Tables:
    """Put records into columns, a kind at a time, without a Python step per record.

    Args:
        records: of one recording.
        regions: ids that the recorder attached; any other external id is somebody else's.
        own: external ids that mark the recorder's own launches, which are left out.
        name_of: kernel name by the pointer in its record; asked once per distinct pointer.
        api_names: names of API calls by record kind (`Kind.RUNTIME`, `Kind.DRIVER`) and id.
        process: id of this process.
    """
    attribution = Attribution(records, regions, own)
    kernels = attribution.without_own(records.of[Kind.KERNEL])
    copies = attribution.without_own(records.of[Kind.MEMCPY])
    peers = attribution.without_own(records.of[Kind.MEMCPY_PEER])
    sets = attribution.without_own(records.of[Kind.MEMSET])
    # One vocabulary for all: directions first, then memset, then the kernels' names.
    pointers, which = np.unique(kernels["name"], return_inverse=True)
    vocabulary = [*_DIRECTIONS, "memset", *(name_of(int(pointer)) for pointer in pointers)]
    parts = [
        _common(kernels, 0, which + len(_DIRECTIONS) + 1) | _of_kernels(kernels),
        _common(copies, 1, copies["copy_kind"]) | {"bytes": copies["bytes"]},
        _common(peers, 1, np.full(len(peers), _DIRECTIONS.index("PtoP")))
        | {"bytes": peers["bytes"]},
        _common(sets, 2, np.full(len(sets), len(_DIRECTIONS)))
        | {"bytes": sets["bytes"], "value": sets["value"]},
    ]
    lengths = [len(kernels), len(copies), len(peers), len(sets)]
    columns = _Columns(parts, lengths)
    correlation = columns.plain("correlation")
    start, end = columns.plain("start_ns"), columns.plain("end_ns")
    order = np.lexsort((correlation, start))
    table = {
        "kind": _words(columns.plain("kind")[order], list(_TYPES)),
        "name": _words(columns.plain("name")[order], vocabulary),
        "process": pa.array(np.full(len(order), process), pa.int64()),
        "region": attribution.regions_of(correlation[order]),
        **{name: columns.nullable(name, order) for name in _NULLABLE},
        **{name: columns.dim3(name, order) for name in ("grid", "block", "cluster")},
    }
    return Tables(
        activities=activities_table(table),
        calls=_calls(attribution, records, api_names),
        unattributed=int((~attribution.launched(correlation)).sum()),
        untimed=int(((end == 0) | (start == 0)).sum()),
        marks_seen=attribution.marks_seen,
    )


_NULLABLE = (
    "start_ns", "end_ns", "device", "context", "stream", "correlation", "graph", "graph_node",
    "shared_static_bytes", "shared_dynamic_bytes", "registers", "bytes", "value",
)  # fmt: skip
_ZERO_IS_NULL = frozenset({"start_ns", "end_ns", "graph", "graph_node"})
"""CUPTI writes 0 where there is none: no time, not launched by a graph."""


def _common(rows: Rows, kind: int, names: Array) -> dict[str, Array]:
    return {
        "kind": np.full(len(rows), kind),
        "name": names,
        "start_ns": rows["start"],
        "end_ns": rows["end"],
        "device": rows["device_id"],
        "context": rows["context_id"],
        "stream": rows["stream_id"],
        "correlation": rows["correlation_id"],
        "graph": rows["graph_id"],
        "graph_node": rows["graph_node_id"],
    }


def _of_kernels(rows: Rows) -> dict[str, Array]:
    return {
        "shared_static_bytes": rows["static_shared_memory"],
        "shared_dynamic_bytes": rows["dynamic_shared_memory"],
        "registers": rows["registers_per_thread"],
        **{
            name: np.stack([rows[f"{name}_{axis}"] for axis in "xyz"], axis=1)
            for name in ("grid", "block", "cluster")
        },
    }


class _Columns:
    """Columns of several kinds one below the other; null where a kind does not have one."""

    def __init__(self, parts: list[dict[str, Array]], lengths: list[int]) -> None:
        self._parts = parts
        self._lengths = lengths

    def plain(self, name: str) -> npt.NDArray[np.int64]:
        """A column that every kind has."""
        return np.concatenate([part[name].astype(np.int64) for part in self._parts])

    def _filled(self, name: str, width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        total = sum(self._lengths)
        values = np.zeros((total, width), np.int64)
        missing = np.ones(total, np.bool_)
        at = 0
        for part, length in zip(self._parts, self._lengths, strict=True):
            if name in part:
                values[at : at + length] = part[name].reshape(length, width)
                missing[at : at + length] = False
            at += length
        return values, missing

    def nullable(self, name: str, order: Array) -> pa.Array:
        """A column of integers in the given order."""
        values, missing = self._filled(name, 1)
        flat = values[:, 0][order]
        mask = missing[order]
        return pa.array(flat, mask=mask | (flat == 0) if name in _ZERO_IS_NULL else mask)

    def dim3(self, name: str, order: Array) -> pa.Array:
        """A column of (x, y, z) in the given order."""
        values, missing = self._filled(name, 3)
        flat = pa.array(values[order].astype(np.int32).reshape(-1))
        return pa.FixedSizeListArray.from_arrays(flat, type=DIM3, mask=pa.array(missing[order]))


def _words(indices: Array, vocabulary: list[str]) -> pa.DictionaryArray:
    """Strings by number. The vocabulary may repeat a string; the result's dictionary does not."""
    distinct = list(dict.fromkeys(vocabulary))
    number = {word: at for at, word in enumerate(distinct)}
    renumber = np.array([number[word] for word in vocabulary], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(renumber[indices], pa.int32()), pa.array(distinct, pa.string())
    )


def _calls(
    attribution: Attribution, records: Records, api_names: Mapping[int, Mapping[int, str]]
) -> pa.Table:
    runtime = attribution.without_own(records.of[Kind.RUNTIME])
    driver = attribution.without_own(records.of[Kind.DRIVER])
    rows = np.concatenate([runtime, driver])
    order = np.lexsort((rows["correlation_id"], rows["start"]))
    rows = rows[order]
    pairs = rows["kind"].astype(np.int64) << 32 | rows["cbid"].astype(np.int64)
    distinct, which = np.unique(pairs, return_inverse=True)
    names = [_api_name(int(pair), api_names) for pair in distinct]
    correlation = rows["correlation_id"].astype(np.int64)
    return calls_table(
        {
            "name": _words(which, names),
            "start_ns": rows["start"].astype(np.int64),
            "end_ns": rows["end"].astype(np.int64),
            "process": rows["process_id"].astype(np.int64),
            "thread": rows["thread_id"].astype(np.int64),
            "correlation": correlation,
            "return_code": rows["return_value"].astype(np.int64),
            "region": attribution.regions_of(correlation),
        }
    )


def _api_name(pair: int, api_names: Mapping[int, Mapping[int, str]]) -> str:
    kind, cbid = pair >> 32, pair & 0xFFFFFFFF
    return api_names.get(kind, {}).get(cbid, f"{Kind(kind).name.lower()} API {cbid}")
