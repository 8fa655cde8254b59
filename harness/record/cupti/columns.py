"""Decoded records to the activities table of a Trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.cupti.decode import Records, Rows
from harness.record.cupti.fields import DIMS, Kind
from harness.trace import activities_table
from harness.trace.dims import dim3_column

Array = npt.NDArray[Any]
Order = npt.NDArray[np.int64] | slice

_DIRECTIONS = (
    "unknown", "HtoD", "DtoH", "HtoA", "AtoH", "AtoA", "AtoD", "DtoA", "DtoD", "HtoH", "PtoP",
)  # fmt: skip
"""By CUpti_ActivityMemcpyKind; A is a CUDA array."""

_TYPES = ("kernel", "memcpy", "memset")
_ACTIVITIES = (
    (Kind.KERNEL, "kernel"), (Kind.MEMCPY, "memcpy"), (Kind.MEMCPY_PEER, "memcpy"),
    (Kind.MEMSET, "memset"),
)  # fmt: skip

_INTEGERS: dict[str, tuple[str, type[np.signedinteger[Any]]]] = {
    "start_ns": ("start", np.int64),
    "end_ns": ("end", np.int64),
    "device": ("device_id", np.int32),
    "context": ("context_id", np.int32),
    "stream": ("stream_id", np.int64),
    "correlation": ("correlation_id", np.int64),
    "graph": ("graph_id", np.int64),
    "graph_node": ("graph_node_id", np.int64),
    "shared_static_bytes": ("static_shared_memory", np.int32),
    "shared_dynamic_bytes": ("dynamic_shared_memory", np.int32),
    "registers": ("registers_per_thread", np.int32),
    "bytes": ("bytes", np.int64),
    "value": ("value", np.int64),
}
"""Column -> field of the record, and the column's type."""

_ZERO_IS_NULL = frozenset({"start_ns", "end_ns", "graph", "graph_node"})
"""CUPTI writes 0 where there is none: no time, not launched by a graph."""


class Activities:
    """Kernels, memcpys and memsets of one recording, one below the other.

    Args:
        records: of one recording.
    """

    def __init__(self, records: Records) -> None:
        self._parts: list[tuple[Kind, str, Rows]] = [
            (kind, word, records.of[kind]) for kind, word in _ACTIVITIES if len(records.of[kind])
        ]

    def __len__(self) -> int:
        return sum(len(rows) for _, _, rows in self._parts)

    def field(self, name: str) -> Array:
        """A field of the records that all kinds have, shape (n,)."""
        if not self._parts:
            return np.empty(0, np.int64)
        return _joined([rows[name] for _, _, rows in self._parts])

    def table(self, order: Order, more: dict[str, Any], name_of: Callable[[int], str]) -> pa.Table:
        """The activities table.

        Args:
            order: which rows, in which order.
            more: further columns, in that order already.
            name_of: kernel name by the pointer in its record; asked once per distinct pointer.
        """
        columns: dict[str, Any] = {"kind": self._kinds(order), "name": self._names(order, name_of)}
        for column, (field, dtype) in _INTEGERS.items():
            found = self._integers(column, field, dtype, order)
            if found is not None:
                columns[column] = found
        if any(kind == Kind.KERNEL for kind, _, _ in self._parts):
            for at, column in enumerate(("grid", "block", "cluster")):
                columns[column] = self._dim3(DIMS[3 * at : 3 * at + 3], order)
        return activities_table(columns | more)

    def _kinds(self, order: Order) -> pa.Array:
        parts = [np.full(len(rows), _TYPES.index(word), np.int8) for _, word, rows in self._parts]
        return _dictionary(_joined(parts, np.int8)[order], list(_TYPES))

    def _names(self, order: Order, name_of: Callable[[int], str]) -> pa.Array:
        # One vocabulary for all: directions first, then memset, then the kernels' names.
        vocabulary = [*_DIRECTIONS, "memset"]
        parts = []
        for kind, _, rows in self._parts:
            if kind == Kind.KERNEL:
                # hashed, not sorted: an order of magnitude faster than numpy.unique
                encoded = pa.array(rows["name"]).dictionary_encode()
                parts.append(encoded.indices.to_numpy() + np.int32(len(_DIRECTIONS) + 1))
                vocabulary += [name_of(int(pointer)) for pointer in encoded.dictionary.to_numpy()]
            elif kind == Kind.MEMCPY:
                parts.append(rows["copy_kind"].astype(np.int32))
            else:
                word = "PtoP" if kind == Kind.MEMCPY_PEER else "memset"
                parts.append(np.full(len(rows), vocabulary.index(word), np.int32))
        return words(_joined(parts, np.int32)[order], vocabulary)

    def _integers(
        self, column: str, field: str, dtype: type[np.signedinteger[Any]], order: Order
    ) -> pa.Array | None:
        """A column in the given order; None when no row has a value."""
        values, missing = self._filled(field, order)
        if values is None:
            return None
        if column in _ZERO_IS_NULL and bool((values == 0).any()):
            missing = values == 0
            if missing.all():
                return None
        return pa.array(values.astype(dtype, copy=False), mask=missing)

    def _dim3(self, fields: tuple[str, ...], order: Order) -> pa.Array:
        filled = [self._filled(field, order) for field in fields]
        (x, missing), (y, _), (z, _) = filled
        return dim3_column(x, y, z, missing)  # type: ignore[arg-type]  # there are kernels

    def _filled(
        self, field: str, order: Order
    ) -> tuple[Array | None, npt.NDArray[np.bool_] | None]:
        """Values, and where there is none; None for no values at all, or for none missing."""
        having = [kind for kind, _, rows in self._parts if field in rows]
        if not having:
            return None, None
        parts = [
            rows[field] if field in rows else np.zeros(len(rows)) for _, _, rows in self._parts
        ]
        if len(having) == len(parts):
            return _joined(parts)[order], None
        dtype = next(part.dtype for (_, _, rows), part in zip(self._parts, parts, strict=True)
                     if field in rows)  # fmt: skip
        absent = [np.full(len(rows), field not in rows) for _, _, rows in self._parts]
        return _joined([part.astype(dtype) for part in parts])[order], _joined(absent)[order]


def order_of(start: Array, correlation: Array) -> Order:
    """Rows by start, then correlation id; what is in that order already is not sorted."""
    if _in_order(start, correlation):
        return slice(None)
    order = np.argsort(start, kind="stable")
    if _in_order(start[order], correlation[order]):
        return order
    return np.lexsort((correlation, start))


def _in_order(start: Array, correlation: Array) -> bool:
    before, after = start[:-1], start[1:]
    if bool((before < after).all()):
        return True
    tied = before == after
    return bool((tied | (before < after)).all()) and bool(
        (correlation[:-1][tied] <= correlation[1:][tied]).all()
    )


def words(indices: Array, vocabulary: list[str]) -> pa.DictionaryArray:
    """Strings by number. The vocabulary may repeat a string; the result's dictionary does not."""
    distinct = list(dict.fromkeys(vocabulary))
    if len(distinct) < len(vocabulary):
        number = {word: at for at, word in enumerate(distinct)}
        indices = np.array([number[word] for word in vocabulary], np.int32)[indices]
    return _dictionary(indices, distinct)


def _dictionary(indices: Array, vocabulary: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(vocabulary, pa.string()))


def _joined(parts: list[Array], dtype: Any = np.int64) -> Array:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype)
