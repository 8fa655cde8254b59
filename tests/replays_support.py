"""The graph replays of vLLM's DSA layer that nsys recorded on an H200, one Trace each."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from harness.trace import Trace, read_trace, regions_table

REPLAYS = Path(__file__).parent / "data" / "nsys_h200_replays.parquet"


@cache
def replays(phase: str) -> tuple[Trace, ...]:
    """The 20 replays of ``decode`` or ``prefill``, each as one forward."""
    trace = read_trace(REPLAYS)
    rows = trace.regions.to_pylist()
    (root,) = [row["id"] for row in rows if row["name"] == f"{phase}_replay"]
    steps = [row["id"] for row in rows if row["parent"] == root]
    launched_in = trace.launch_regions()
    return tuple(
        replace(
            trace,
            activities=trace.activities.filter(pc.fill_null(pc.equal(launched_in, step), False)),
        )
        for step in steps
    )


def recorded(*forwards: Trace) -> Trace:
    """One Trace of several forwards, as a recorder gives them: each in a region ``forward``."""
    parts = []
    for number, forward in enumerate(forwards, 1):
        table = forward.activities
        ids = pa.array([number] * len(table), pa.int64())
        for column in ("region", "launched_in"):
            table = table.set_column(table.schema.get_field_index(column), column, ids)
        parts.append(table)
    regions = [{"id": n, "name": "forward"} for n in range(1, len(forwards) + 1)]
    return replace(forwards[0], activities=pa.concat_tables(parts), regions=regions_table(regions))


def without(forward: Trace, *rows: int) -> Trace:
    """The forward without some of its launches."""
    left = [row for row in range(len(forward)) if row not in rows]
    return replace(forward, activities=forward.activities.take(left))


def with_column(forward: Trace, name: str, values: list[object]) -> Trace:
    """The forward with other values in one column."""
    table = forward.activities
    field = table.schema.field(name)
    column = pa.array(values, field.type.value_type if name in ("kind", "name") else field.type)
    return replace(
        forward,
        activities=table.set_column(
            table.schema.get_field_index(name), field, column.cast(field.type)
        ),
    )
