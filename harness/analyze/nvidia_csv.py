"""Summaries as the CSV that ``nsys stats --format csv`` writes."""

from __future__ import annotations

import csv
import io

import pyarrow as pa


def csv_text(table: pa.Table) -> str:
    """A summary as NVIDIA's CSV: one header, one line per row, each ended by a newline.

    Whole numbers as they are, other figures with one decimal, names quoted where they hold a comma,
    a quote or a line break.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(table.column_names)
    columns = [_cells(table[name]) for name in table.column_names]
    writer.writerows(zip(*columns, strict=True))
    return written.getvalue()


def _cells(column: pa.ChunkedArray) -> list[str]:
    if pa.types.is_floating(column.type):
        return [f"{value:.1f}" for value in column.to_pylist()]
    return [str(value) for value in column.to_pylist()]
