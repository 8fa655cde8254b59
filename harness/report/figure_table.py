"""A table of an analysis for the terminal: figures by their units, names that fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.names import display_name
from harness.report.layouts import LAYOUTS, Layout
from harness.report.summaries import NARROWEST_NAMES, print_names_below
from harness.report.text import UNKNOWN, plain

Columns = tuple[tuple[str, str], ...]

WIDE = 120
"""Columns of a terminal from which a table has its wide columns."""

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "us"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_FLOP = ((1e12, "Tflop"), (1e9, "Gflop"), (1e6, "Mflop"))
_KERNEL_NAMES = frozenset({"name", "kernel", "kernel_before", "kernel_after"})


def print_figures(name: str, table: pa.Table, console: Console, most: int) -> None:
    """Print the first ``most`` rows of a table with its title and legend.

    Args:
        name: of the table, which says how it is laid out.
    """
    layout = LAYOUTS.get(name, _layout_of_all(name, table))
    _line(console, layout.title, "bold")
    if not table.num_rows:
        _line(console, layout.empty, "dim")
        return
    most = table.num_rows if layout.whole else most
    rows = table.slice(0, most)
    columns, left_out = _chosen(layout, table, rows, console.width)
    cells = {column: _cells(rows, column) for column, _ in columns}
    first = columns[0][0]
    figures = sum(_widest(cells[column]) + 3 for column, _ in columns[1:])
    if first in _KERNEL_NAMES and console.width - figures < NARROWEST_NAMES:
        headings = [_heading(heading, cells[column]) for column, heading in columns[1:]]
        widths = [
            max(_widest(cells[column]), *map(len, heading.split("\n")))
            for (column, _), heading in zip(columns[1:], headings, strict=True)
        ]
        lines = list(zip(*(cells[column] for column, _ in columns[1:]), strict=True))
        print_names_below(headings, widths, lines, cells[first], console)
    else:
        _print_beside(columns, cells, table.schema, console)
    if table.num_rows > most:
        _line(console, f"... {table.num_rows - most} more rows: --top, --json or --out", "dim")
    if layout.legend:
        _line(console, layout.legend, "dim")
    if left_out:
        names = ", ".join(heading for _, heading in left_out)
        _line(console, f"left out: {names}; {WIDE} columns or --json have them", "dim")


_TELLING = ("process", "steady")
"""Wide columns without which rows that differ in them cannot be told apart."""


def _chosen(layout: Layout, table: pa.Table, rows: pa.Table, width: int) -> tuple[Columns, Columns]:
    """The columns that are shown at this width, and those left out that have something to say.

    A telling column takes the place of the last ones where there is no room for all.
    """
    wide = tuple(pair for pair in layout.wide if _shown(table, pair[0]))
    telling = wide if width >= WIDE else tuple(one for one in wide if _differs(table, one[0]))
    shown = [pair for pair in layout.columns if _shown(table, pair[0])]
    out = [pair for pair in wide if pair not in telling]
    while width < WIDE and telling and _needs(rows, (*shown, *telling)) > width and shown[1:]:
        out.insert(0, shown.pop())
    return (*shown, *telling), tuple(out)


def _needs(rows: pa.Table, columns: Columns) -> int:
    """Columns of a terminal that a table takes whose names are on one line."""
    widths = [_width(heading, _cells(rows, column)) for column, heading in columns]
    return sum(widths) + _BETWEEN * (len(widths) - 1)


def _width(heading: str, cells: Sequence[str]) -> int:
    """Of the widest cell or the longest word of the heading."""
    return max(_widest(cells), *map(len, heading.split()))


_BETWEEN = 3
"""Spaces between two columns."""


def _differs(table: pa.Table, column: str) -> bool:
    return column in _TELLING and len(table[column].unique()) > 1


def _print_beside(
    columns: Columns, cells: Mapping[str, Sequence[str]], schema: pa.Schema, console: Console
) -> None:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    full = sum(max(_widest(cells[column]), len(heading)) for column, heading in columns)
    narrow = full + _BETWEEN * (len(columns) - 1) > console.width
    for column, heading in columns:
        least = _width(heading, cells[column])
        if narrow:
            heading = _heading(heading, cells[column])  # noqa: PLW2901
        if pa.types.is_string(schema.field(column).type):
            shown.add_column(heading, overflow="fold", min_width=min(_NAME_LEAST, least))
        else:
            shown.add_column(heading, justify="right", min_width=least)
    for row in zip(*(cells[column] for column, _ in columns), strict=True):
        shown.add_row(*map(Text, row))
    console.print(shown)


def _heading(heading: str, cells: Sequence[str]) -> str:
    """On two lines where it is longer than what stands under it."""
    return heading.replace(" ", "\n", 1) if len(heading) > _widest(cells) else heading


_IDS = ("process", "thread", "device", "stream", "step")
"""Columns whose numbers are names."""


def figure(column: str, value: Any) -> str:
    """One cell: times in ns (``_ns``) by their size, shares in %, bytes and rates scaled."""
    if value is None:
        return "all" if column in ("device", "range") else UNKNOWN
    if isinstance(value, str):
        return plain(display_name(value, width=_NAME_WIDTH) if column in _KERNEL_NAMES else value)
    if column in _IDS or not isinstance(value, (int, float)):
        return plain(str(value))
    if "share_of_" in column or column == "utilisation":
        return f"{100 * value:.1f} %"
    for ending, form in _FORMS:
        if ending in column:
            return form(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _layout_of_all(name: str, table: pa.Table) -> Layout:
    columns = tuple((column, column.removesuffix("_ns")) for column in table.column_names)
    return Layout(name.replace("_", " "), tuple((c, h.replace("_", " ")) for c, h in columns))


def _shown(table: pa.Table, column: str) -> bool:
    """Whether a column has anything to say: the naive gap, say, is there only when asked for."""
    return column in table.column_names and (
        column in ("device", "range") or table[column].null_count < table.num_rows
    )


def _cells(rows: pa.Table, column: str) -> list[str]:
    return [figure(column, value) for value in rows[column].to_pylist()]


def _widest(values: Sequence[str]) -> int:
    return max(map(len, values))


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(plain(text), style, overflow="fold"))


def _scaled(value: float, units: Sequence[tuple[float, str]], smallest: str) -> str:
    for factor, unit in units:
        if abs(value) >= factor:
            return f"{value / factor:.2f} {unit}"
    return f"{value:.0f} {smallest}"


_NAME_WIDTH = 90
_NAME_LEAST = 28
_FORMS: tuple[tuple[str, Callable[[float], str]], ...] = (
    ("bytes_per_s", lambda value: _scaled(value, _BYTES, "bytes") + "/s"),
    ("flop_per_s", lambda value: _scaled(value, _FLOP, "flop") + "/s"),
    ("score", lambda value: f"{value:.2f}"),
    ("_ns", lambda value: _scaled(value, _TIMES, "ns")),
    ("bytes", lambda value: _scaled(value, _BYTES, "bytes")),
)
