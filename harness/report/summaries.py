"""A summary for the terminal: NVIDIA's columns, made to fit its width."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.names import display_name
from harness.report.text import plain

NARROWEST_NAMES = 40
"""Columns that names need beside the figures; with fewer they get lines of their own."""


def print_summary_table(table: pa.Table, kind: str, console: Console) -> None:
    """Print a table of `harness.analyze.summaries`.

    Beside the figures where there is room, names stand on the line below them where there is not,
    which at 80 columns is always so. Names are shortened; the CSV has them whole.

    Args:
        table: its last column holds the names.
        kind: ``kernel`` or another word for what was summed up; only kernels are shortened.
        console: where to.
    """
    *headings, _ = table.column_names
    figures = [_cells(table[heading]) for heading in headings]
    titles = [heading.replace(" (", "\n(") for heading in headings]
    widths = [
        max(len(text) for text in [*title.split("\n"), *cells])
        for title, cells in zip(titles, figures, strict=True)
    ]
    beside = console.width - sum(widths) - 2 * len(widths)
    names = table["Name"].to_pylist()
    rows = list(zip(*figures, strict=True))
    if beside >= NARROWEST_NAMES:
        _print_wide(titles, rows, _labels(names, kind, 2 * beside - 4), console)
    else:
        print_names_below(
            titles, widths, rows, _labels(names, kind, 2 * console.width - 4), console
        )


def _print_wide(
    titles: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str], console: Console
) -> None:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in titles:
        shown.add_column(title, justify="right", no_wrap=True)
    shown.add_column("Name", overflow="fold")
    for cells, name in zip(rows, names, strict=True):
        shown.add_row(*map(Text, cells), Text(name))
    console.print(shown)


def print_names_below(
    titles: Sequence[str],
    widths: Sequence[int],
    rows: Sequence[Sequence[str]],
    names: Sequence[str],
    console: Console,
) -> None:
    """Print a table whose names stand on the lines below their figures.

    Args:
        titles: of the figures; a line break makes two lines of one.
        widths: of the figures' columns.
        rows: figures as text.
        names: one per row.
    """
    gap = "  " if sum(widths) + 2 * len(widths) - 2 <= console.width else " "

    def line(cells: Sequence[str], style: str = "") -> None:
        text = gap.join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        console.print(Text(text.rstrip(), style, overflow="fold"))

    line([title.partition("\n")[0] for title in titles], "bold")
    line([title.partition("\n")[2] for title in titles], "bold")
    console.print(Text("─" * min(console.width, sum(widths) + len(gap) * (len(widths) - 1))))
    for cells, name in zip(rows, names, strict=True):
        line(cells)
        console.print(Padding(Text(name, "cyan", overflow="fold"), (0, 0, 0, 2)))


def _cells(column: pa.ChunkedArray) -> list[str]:
    form = "{:.1f}" if pa.types.is_floating(column.type) else "{}"
    return [form.format(value) for value in column.to_pylist()]


def _labels(names: Sequence[str], kind: str, width: int) -> list[str]:
    """Shortened; those that become equal by it get the start of a hash of the whole name."""
    shown = [plain(display_name(name, kind, width - 8)) for name in names]
    often = Counter(shown)
    return [
        f"{label} ~{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:6]}"
        if often[label] > 1
        else label
        for name, label in zip(names, shown, strict=True)
    ]
