"""Rows and columns of a Trace as NumPy arrays, without copying more than is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DEVICE_KINDS = ("kernel", "memcpy", "memset", "graph")
"""Kinds that keep a device busy; ``graph`` is a whole launch that shows no nodes."""


def timed(table: pa.Table, *kinds: str) -> pa.Table:
    """The activities of these kinds that have both times."""
    keep = has_values(table, "start_ns", "end_ns")
    codes, texts = codes_of(table["kind"])
    if not set(texts) <= set(kinds):
        wanted = np.array([text in kinds for text in texts], np.bool_)
        keep &= wanted[codes]
    return table if keep.all() else table.filter(pa.array(keep))


def in_start_order(table: pa.Table) -> pa.Table:
    """The rows by start; a Trace's activities are so already, and then nothing is copied."""
    starts = ints(table["start_ns"])
    if (starts[1:] >= starts[:-1]).all():
        return table
    return table.take(pa.array(np.argsort(starts, kind="stable")))


def has_values(table: pa.Table, *names: str) -> Mask:
    """Which rows have a value in all of these columns."""
    keep = np.ones(table.num_rows, np.bool_)
    for name in names:
        if table[name].null_count:
            keep &= pc.is_valid(table[name]).to_numpy()
    return keep


def codes_of(column: pa.ChunkedArray) -> tuple[npt.NDArray[Any], list[str]]:
    """A dictionary column as numbers, shape (n,), into its different texts; null is ``""``."""
    encoded = column.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # what no rows combine to
        return np.zeros(0, np.int32), []
    texts = [text or "" for text in encoded.dictionary.to_pylist()]
    indices = encoded.indices
    if indices.null_count:
        indices = pc.fill_null(indices.cast(pa.int32()), len(texts))
        texts.append("")
    return indices.to_numpy(), texts


def ints(column: Any, unknown: int = -1) -> Ints:
    """A column of whole numbers as int64, shape (n,); ``unknown`` in the place of nulls."""
    if column.null_count:
        column = pc.fill_null(column.cast(pa.int64()), unknown)
    values: Ints = column.to_numpy().astype(np.int64, copy=False)
    return values


def spans(table: pa.Table) -> tuple[Ints, Ints]:
    """Starts and ends of rows that have both, in ns, shape (n,) each."""
    return ints(table["start_ns"]), ints(table["end_ns"])


@dataclass(frozen=True)
class Groups:
    """Rows put together by something they share.

    Attributes:
        labels: what each group shares, in ascending order, unknown values last.
        of_row: the number of each row's group, shape (n,).
    """

    labels: list[tuple[int | None, ...]]
    of_row: npt.NDArray[Any]

    def __iter__(self) -> Iterator[tuple[tuple[int | None, ...], Ints | slice]]:
        """Each group's label, and its rows in their order, to index arrays with."""
        if len(self.labels) < 2:  # a view, where a list of rows would copy
            yield from ((label, slice(None)) for label in self.labels)
            return
        small = self.of_row.astype(np.int16) if len(self.labels) < 1 << 15 else self.of_row
        rows = np.argsort(small, kind="stable")  # a radix sort, for 16 bits
        ends = np.cumsum(np.bincount(self.of_row, minlength=len(self.labels)))
        yield from zip(self.labels, np.split(rows, ends[:-1]), strict=True)


def grouped(table: pa.Table, *names: str) -> Groups:
    """Group rows by the values of columns of whole numbers; null is a value of its own."""
    of_row, first = group_numbers(table, *names)
    values = [table[name].take(pa.array(first)).to_pylist() for name in names]
    return Groups(list(zip(*values, strict=True)), of_row)


def group_numbers(table: pa.Table, *names: str) -> tuple[npt.NDArray[Any], Ints]:
    """The number of each row's group, shape (n,), and the first row of each group."""
    first, of_row = np.zeros(min(table.num_rows, 1), np.int64), np.zeros(table.num_rows, np.int16)
    for name in names:
        if not _is_constant(table[name]):
            codes, count = _numbered(ints(table[name], _UNKNOWN))
            codes += of_row * np.int64(count)
            of_row, _ = _numbered(codes)
            first = _first_rows(of_row)
    return of_row, first


_UNKNOWN = np.iinfo(np.int64).max
"""Stands for null and is larger than any id."""


def _is_constant(column: pa.ChunkedArray) -> bool:
    if column.null_count:
        return bool(column.null_count == len(column))
    extremes = pc.min_max(column).as_py()
    return bool(extremes["min"] == extremes["max"])


_TABLE = 1 << 20
"""Values are numbered through a table, which takes no sorting, where it has at most so many places
or as many as there are values."""


def _numbered(values: Ints) -> tuple[Ints, int]:
    """The rank of each value among the different values, and how many there are; at least one."""
    low = int(values.min())
    if int(values.max()) - low >= max(_TABLE, len(values)):
        different, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64, copy=False), len(different)
    values = values - low
    seen = np.zeros(int(values.max()) + 1, np.int64)
    seen[values] = 1
    ranks = np.cumsum(seen) - 1
    return ranks[values], int(ranks[-1]) + 1


def _first_rows(of_row: npt.NDArray[Any]) -> Ints:
    """The first row of each group."""
    first = np.zeros(int(of_row.max()) + 1, np.int64)
    # Of several values for one place NumPy keeps the last.
    first[of_row[::-1]] = np.arange(len(of_row) - 1, -1, -1)
    return first
