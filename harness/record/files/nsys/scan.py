"""Rows of tables as narrow columns, one table below the other, without a step per row.

Each thread fills its own stretch of arrays that are made once: pages of them that nobody writes
take no memory, and nothing is put together afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from harness.errors import TraceFormatError
from harness.record.files.nsys.columns import Wanted
from harness.record.files.nsys.database import Database, quoted
from harness.record.files.nsys.frame import Frame, Values

_THREADS = 4
"""At most; a scan decodes records, which scales with cores until the memory is busy."""

_ROWS_PER_THREAD = 100_000
"""Below that, opening another connection costs more than it saves."""


@dataclass(frozen=True)
class _Piece:
    """Rows of a table for one thread: ids from first to last, of which at most ``rows`` exist."""

    table: str
    first: int
    last: int
    rows: int


def scan(database: Database, wanted: Mapping[str, Mapping[str, Wanted]]) -> Frame:
    """Read columns of tables, each in the order of its rows.

    Args:
        database: says where the file is and what it holds.
        wanted: for each table that is there: what to read, by the name of the result; what the
            table has no columns for is left out.

    Raises:
        TraceFormatError: the file is damaged, or a value is no integer of the column's type.
    """
    selected = {table: _selected(database, table, some) for table, some in wanted.items()}
    pieces = [piece for table in wanted for piece in _pieces(database, table)]
    starts = np.cumsum([0, *(piece.rows for piece in pieces)]).tolist()
    length = starts.pop()
    columns = {
        name: Values(length, wanted[table][name].dtype)
        for table, some in selected.items()
        for name in some
    }

    def read(piece: _Piece, start: int) -> slice:
        mine = selected[piece.table]
        at = start
        with Database(database.path, database.columns) as own:
            for batch in own.batches(_sql(piece.table, mine), piece.first, piece.last):
                rows = slice(at, at + batch.num_rows)
                _put(columns, rows, batch, mine, wanted[piece.table])
                at = rows.stop
        for name in columns.keys() - mine.keys():
            columns[name].leave(slice(start, at))
        return slice(start, at)

    with ThreadPoolExecutor(_cores()) as pool:
        filled = list(pool.map(read, pieces, starts))
    stretches: dict[str, list[slice]] = {}
    for piece, rows in zip(pieces, filled, strict=True):
        stretches.setdefault(piece.table, []).append(rows)
    return Frame(columns, stretches, length)


def _selected(database: Database, table: str, wanted: Mapping[str, Wanted]) -> dict[str, list[str]]:
    """The SQL expressions for each column that the table can give."""
    present = database.columns[table]
    return {
        name: expressions
        for name, column in wanted.items()
        if (expressions := column.select(present))
    }


def _sql(table: str, selected: Mapping[str, list[str]]) -> str:
    expressions = [one for some in selected.values() for one in some] or ["rowid"]
    return f"SELECT {', '.join(expressions)} FROM {quoted(table)} WHERE rowid BETWEEN ? AND ?"


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(_THREADS, cores or 1))


def _pieces(database: Database, table: str) -> list[_Piece]:
    name = quoted(table)
    # Each in a query of its own: only so min and max are looked up in the tree.
    (ends,) = database.rows(
        f"SELECT (SELECT min(rowid) FROM {name}) AS low, (SELECT max(rowid) FROM {name}) AS high"
    )
    low, high = ends["low"], ends["high"]
    if low is None:
        return []
    rows = high - low + 1
    # A row takes at least a byte for each column and two more: more rows cannot be in the file.
    if rows * (len(database.columns[table]) + 2) > database.path.stat().st_size:
        (counted,) = database.rows(f"SELECT count(*) AS rows FROM {name}")
        return [_Piece(table, low, high, counted["rows"])]
    count = max(1, min(_cores(), rows // _ROWS_PER_THREAD))
    cuts = [low + rows * at // count for at in range(count + 1)]
    return [_Piece(table, first, after - 1, after - first) for first, after in pairwise(cuts)]


def _put(
    columns: Mapping[str, Values],
    rows: slice,
    batch: pa.RecordBatch,
    selected: Mapping[str, list[str]],
    wanted: Mapping[str, Wanted],
) -> None:
    values = iter(batch.columns)
    for name, expressions in selected.items():
        try:
            columns[name].put(rows, *wanted[name].narrow([next(values) for _ in expressions]))
        except (pa.ArrowException, ValueError) as error:
            raise TraceFormatError(
                f"{', '.join(expressions)} in the export is no {name} ({error})",
                fix="export the report again with nsys export",
            ) from error
