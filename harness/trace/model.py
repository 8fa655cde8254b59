"""The Trace: what was launched, in which region, by which call. Immutable, columnar, one model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import TraceFormatError
from harness.trace.columns import Nulls, column_of
from harness.trace.info import TraceInfo
from harness.trace.schema import ACTIVITIES, CALLS, REGIONS


@dataclass(frozen=True, eq=False)
class Trace:
    """Activities, regions and API calls of one recording, as Arrow tables.

    Attributes:
        activities: one row per kernel, memcpy, memset or ATen call, in start order
            (ATen calls in call order). Columns: `harness.trace.schema.ACTIVITIES`.
        regions: one row per region. Columns: `harness.trace.schema.REGIONS`.
        calls: one row per CUDA API call on the host. Columns: `harness.trace.schema.CALLS`.
        info: source, versions, completeness.

    Raises:
        TraceFormatError: a table lacks a column of its schema or a column has another type.
    """

    activities: pa.Table
    info: TraceInfo
    regions: pa.Table = field(default_factory=REGIONS.empty_table)
    calls: pa.Table = field(default_factory=CALLS.empty_table)

    def __post_init__(self) -> None:
        for name, schema in (("activities", ACTIVITIES), ("regions", REGIONS), ("calls", CALLS)):
            table: pa.Table = getattr(self, name)
            if not table.schema.equals(schema):
                raise TraceFormatError(
                    f"the {name} table of a Trace has columns {table.schema.names}, "
                    f"expected {schema.names} with the types of harness.trace.schema",
                    fix=f"build it with harness.trace.{name}_table",
                )

    def __len__(self) -> int:
        """Number of activities."""
        return int(self.activities.num_rows)

    def __repr__(self) -> str:
        kinds = pc.value_counts(self.activities["kind"].cast(pa.string())).to_pylist()
        counted = ", ".join(f"{row['counts']} {row['values']}" for row in kinds) or "empty"
        state = (
            "complete" if self.info.complete else "INCOMPLETE: " + "; ".join(self.info.incomplete)
        )
        return f"<Trace {self.info.source}: {counted}; {self.regions.num_rows} regions; {state}>"

    def of_kind(self, *kinds: str) -> Trace:
        """The Trace with only the activities of these kinds (regions and calls stay)."""
        mask = pc.is_in(self.activities["kind"].cast(pa.string()), pa.array(kinds, pa.string()))
        return replace(self, activities=self.activities.filter(mask))

    def in_region(self, name: str, *, nested: bool = True) -> Trace:
        """Only the activities attributed to regions of this name.

        Args:
            name: exact region name; `harness.trace.schema.OUTSIDE_NAME` for what is in none.
            nested: also those of regions inside it.
        """
        wanted = self._region_ids(name, nested=nested)
        mask = pc.is_in(self.activities["region"], pa.array(sorted(wanted), pa.int64()))
        return replace(self, activities=self.activities.filter(pc.fill_null(mask, False)))

    def launch_regions(self) -> pa.ChunkedArray:
        """Id of the region in force at each launch, of graph nodes at the launch of the graph."""
        return pc.coalesce(self.activities["launched_in"], self.activities["region"])

    def slice(self, start: int, length: int | None = None) -> Trace:
        """The Trace with the activities of rows [start, start + length)."""
        return replace(self, activities=self.activities.slice(start, length))

    def rows(self) -> Iterator[dict[str, Any]]:
        """The activities as dictionaries, a record batch at a time (for reports, not for bulk)."""
        for batch in self.activities.to_batches():
            yield from batch.to_pylist()

    def _region_ids(self, name: str, *, nested: bool) -> set[int]:
        ids = self.regions["id"].to_pylist()
        names = self.regions["name"].to_pylist()
        found = {i for i, n in zip(ids, names, strict=True) if n == name}
        if not nested:
            return found
        children: dict[int | None, list[int]] = {}
        for i, parent in zip(ids, self.regions["parent"].to_pylist(), strict=True):
            children.setdefault(parent, []).append(i)
        todo = list(found)
        while todo:
            for child in children.get(todo.pop(), ()):
                if child not in found:
                    found.add(child)
                    todo.append(child)
        return found


def _table(
    rows: Sequence[Mapping[str, Any]] | Mapping[str, Any], schema: pa.Schema, what: str
) -> pa.Table:
    try:
        if isinstance(rows, Mapping):
            unknown = set(rows) - set(schema.names)
            if unknown:
                raise TraceFormatError(
                    f"unknown columns for {what}: {sorted(unknown)}",
                    fix=f"use the columns {schema.names}",
                )
            return pa.Table.from_arrays(_columns(rows, schema), schema=schema)
        return pa.Table.from_arrays(
            [column_of([row.get(f.name) for row in rows], f.type) for f in schema], schema=schema
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise TraceFormatError(
            f"the {what} of a Trace do not fit its schema ({error})",
            fix="pass values of the types in harness.trace.schema",
        ) from error


def _columns(given: Mapping[str, Any], schema: pa.Schema) -> list[pa.Array]:
    length = max((len(column) for column in given.values()), default=0)
    absent = Nulls(length)
    return [
        column_of(given[f.name], f.type) if f.name in given else absent.of(f.type) for f in schema
    ]


def activities_table(rows: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> pa.Table:
    """Build an activities table from row mappings, or from a mapping of whole columns.

    Columns that are not given are null. Arrow arrays of the right type are used as they are.

    Raises:
        TraceFormatError: an unknown column, or a value that does not fit its column.
    """
    return _table(rows, ACTIVITIES, "activities")


def regions_table(rows: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> pa.Table:
    """Build a regions table; arguments as for `activities_table`."""
    return _table(rows, REGIONS, "regions")


def calls_table(rows: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> pa.Table:
    """Build a calls table; arguments as for `activities_table`."""
    return _table(rows, CALLS, "calls")


def names_of(trace: Trace) -> list[str]:
    """The raw name of every activity, in order."""
    names: Iterable[str] = trace.activities["name"].cast(pa.string()).to_pylist()
    return list(names)
