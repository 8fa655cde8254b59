"""The kernel table of the terminal report, made to fit its width."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from harness.align.model import KernelRow
from harness.report.text import has_times, labels, microseconds

MOST_ROWS = 40
"""Rows of the kernel table: what fits on a screen or two; the evidence has all of them."""

EVIDENCE = "the evidence (--out DIR, --json)"
"""Where the rest is; a run that was given neither has no file of it."""

READABLE_NAME = 90
"""Characters of a name for which a second line is spent."""

LEGEND = "us, n per forward; = same n, # other n, + only mock, - only reference"


def kernel_table(rows: Sequence[KernelRow], width: int) -> Table:
    """The first `MOST_ROWS` rows as a table of at most ``width`` columns.

    Without times from the recorder it has only counts.
    """
    timed = has_times(rows)
    figures = [_figures(row, timed) for row in rows[:MOST_ROWS]]
    headings = ["mock us", "n", "ref. us", "n"] if timed else ["mock n", "ref. n"]
    columns = zip(*figures, strict=True)
    taken = sum(
        max(map(len, [heading, *column])) + 2
        for heading, column in zip([*headings, ""], columns, strict=True)
    )
    names = labels(rows, _name_width(width - taken))[:MOST_ROWS]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("op" if rows[0].kind == "op" else "kernel", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name, row, cells in zip(names, rows, figures, strict=False):
        style = "" if row.match == "=" else "red"
        table.add_row(Text(name, style), *map(Text, cells[:-1]), Text(cells[-1], style))
    return table


def kernel_remarks(rows: Sequence[KernelRow]) -> list[str]:
    """Lines under the table: what it leaves out, what its signs mean."""
    lines = []
    if len(rows) > MOST_ROWS:
        left = len(rows) - MOST_ROWS
        lines.append(f"... {left} more names are not shown; {EVIDENCE} has all {len(rows)}")
    return [*lines, LEGEND if has_times(rows) else LEGEND.removeprefix("us, ")]


def _name_width(column: int) -> int:
    """Characters of a name: those of the column, or two lines of a narrow one.

    Cut to one line of a narrow column torch's elementwise kernels all look the same.
    """
    return max(column, min(int(1.8 * column), READABLE_NAME), 16)


def _figures(row: KernelRow, timed: bool) -> list[str]:
    """The cells after the name: times and counts of both sides, the match."""
    mock, reference = str(row.mock_count), str(row.reference_count)
    if not timed:
        return [mock, reference, row.match]
    return [microseconds(row.mock_us), mock, microseconds(row.reference_us), reference, row.match]
