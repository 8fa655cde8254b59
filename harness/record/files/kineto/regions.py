"""Ranges of torch.profiler as regions, and which of them each API call was made in."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.record.cupti.markers import region_at, set_parents
from harness.record.files.kineto.columns import NONE, Ints
from harness.record.regions import OUTSIDE_ROW
from harness.trace.schema import OUTSIDE

Row = dict[str, Any]

_OPEN = 1 << 62


def region_rows(found: list[Row], base: int) -> list[Row]:
    """Rows of a regions table in the order in which they began, after that of `OUTSIDE`.

    Args:
        found: rows without ids and parents.
        base: ns to add to their times.
    """
    rows = sorted(found, key=_outer_first)
    for number, row in enumerate(rows, start=OUTSIDE + 1):
        row["id"], row["parent"] = number, None
        row["start_ns"] += base
        row["end_ns"] = None if row["end_ns"] is None else row["end_ns"] + base
    for mine in _by_process(rows).values():
        set_parents(mine)
    return [dict(OUTSIDE_ROW), *rows]


def _outer_first(row: Row) -> tuple[int, int]:
    # Equal starts: the longer one is around the other.
    return row["start_ns"], -(_OPEN if row["end_ns"] is None else row["end_ns"])


def _by_process(rows: list[Row]) -> dict[int | None, list[Row]]:
    found: dict[int | None, list[Row]] = {}
    for row in rows:
        found.setdefault(row["process"], []).append(row)
    return found


def regions_of_calls(rows: list[Row], processes: Ints, threads: Ints, starts: Ints) -> Ints:
    """The innermost range that is open on the thread of each call as it begins.

    Args:
        rows: as `region_rows` gives them.
        processes, threads: ids, `NONE` where not known, shape (n,).
        starts: ns, shape (n,).

    Returns:
        Region ids, `OUTSIDE` for none, shape (n,).
    """
    regions = np.full(len(starts), OUTSIDE, np.int64)
    for process, mine in _by_process(rows[1:]).items():
        here = np.flatnonzero(processes == (NONE if process is None else process))
        if len(here):
            regions[here] = region_at(mine, threads[here], starts[here])
    return regions
