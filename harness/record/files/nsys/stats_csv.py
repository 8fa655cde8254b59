"""``nsys stats --format csv``: tables of any release with normalised columns.

A table of figures, not a Trace: a summary no longer holds the launches.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import InputError, NoSignalError, TraceFormatError
from harness.record.files.nsys.headings import TEXTS, Heading, heading
from harness.record.files.text import read_text

EXPORT = "nsys stats --format csv --report cuda_gpu_kern_sum REPORT > FILE.csv"

OLD_NAMES = {
    "gputrace": "cuda_gpu_trace",
    "gpukernsum": "cuda_gpu_kern_sum",
    "kernsum": "cuda_gpu_kern_sum",
    "gpumemtimesum": "cuda_gpu_mem_time_sum",
    "gpumemsizesum": "cuda_gpu_mem_size_sum",
    "gpusum": "cuda_gpu_sum",
    "cudaapisum": "cuda_api_sum",
    "apisum": "cuda_api_sum",
    "nvtxsum": "nvtx_sum",
    "nvtxppsum": "nvtx_pushpop_sum",
    "gpukernexecsum": "cuda_kern_exec_sum",
}
"""Report names before release 2022.4 -> since then."""

NAMES = (*OLD_NAMES.values(), "nvtx_gpu_proj_sum", "cuda_api_gpu_sum", "cuda_api_trace")

_REPORT = re.compile("|".join(sorted({*OLD_NAMES, *NAMES}, key=len, reverse=True)))
_SKIPPED = re.compile(r"SKIPPED:\s*(.*)")
_EMPTY = frozenset(("", "None", "N/A", "-"))
_WHOLE = re.compile(r"[0-9]{1,18}")
_FEWEST = 3
"""Known headings that a line must have to be a header."""


@dataclass(frozen=True, eq=False)
class StatsTable:
    """One table of ``nsys stats``.

    Attributes:
        report: today's name (``cuda_gpu_kern_sum``), by what the file says or by its columns.
        table: times in ns (float, ``*_ns``), sizes in bytes (``*_bytes``), shares in % of the
            report's own sum (``time_pct``), ``count``, ``name``; see
            `harness.record.files.nsys.headings`. Headings that are not known keep their text.
    """

    report: str
    table: pa.Table


def read_nsys_stats(path: str | Path) -> list[StatsTable]:
    """The tables of a CSV that ``nsys stats`` wrote, in order.

    Args:
        path: one report, or what ``nsys stats --format csv`` printed of several, with its lines
            between them; plain or gzip.

    Raises:
        InputError: it cannot be read, or holds no table of nsys stats.
        TraceFormatError: a figure is no number.
        NoSignalError: nsys skipped every report, or a table has no rows.
    """
    source = Path(path)
    text = read_text(source, EXPORT)
    found, skipped, said = [], [], source.name
    rows: list[list[str]] = []
    header: list[Heading | str] = []
    titles: list[str] = []
    for line in [*text.splitlines(), ""]:
        cells = _cells(line)
        if header and len(cells) == len(header):
            rows.append(cells)
            continue
        if header:
            found.append(StatsTable(_report(said, titles), _table(source, header, rows)))
            header, rows, said = [], [], source.name
        if made := _header(cells, line):
            header, titles = made, cells
        else:
            skipped += _SKIPPED.findall(line)
            said = f"{said} {line}" if _REPORT.search(line) else said
    if not found:
        raise _nothing(source, skipped)
    if not any(one.table.num_rows for one in found):
        raise NoSignalError(f"the table in {source} has no rows", fix="check what was recorded")
    return found


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _header(cells: list[str], line: str) -> list[Heading | str]:
    """The columns of a header line; empty where it is none."""
    sizes = "(MB)" in line or "(KiB)" in line or "Total,Operations" in line.replace('"', "")
    known = [heading(cell, sizes) for cell in cells]
    names = [one.column for one in known if one]
    if len(names) < _FEWEST or "name" not in names or len(set(names)) != len(names):
        return []
    return [one or cell for one, cell in zip(known, cells, strict=True)]


def _table(source: Path, header: list[Heading | str], rows: list[list[str]]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for at, one in enumerate(header):
        cells = [row[at].strip() for row in rows]
        name = one if isinstance(one, str) else one.column
        if isinstance(one, str) or one.column in TEXTS:
            columns[name] = pa.array([None if c in _EMPTY else c for c in cells], pa.string())
        elif one.factor == 1.0 and all(_WHOLE.fullmatch(c) or c in _EMPTY for c in cells):
            whole = [None if c in _EMPTY else int(c) for c in cells]
            columns[name] = pa.array(whole, pa.int64())
        else:
            columns[name] = pa.array([_number(source, c, one) for c in cells], pa.float64())
    return pa.table(columns)


def _number(source: Path, text: str, one: Heading) -> float | None:
    if text in _EMPTY:
        return None
    try:
        return float(text.replace(",", "")) * one.factor
    except ValueError as error:
        raise TraceFormatError(
            f"{source}: {text!r} in the column {one.column} is no number",
            fix="export it again: nsys stats --format csv REPORT",
        ) from error


_BY_HEADINGS = (
    ("cuda_gpu_trace", {"grdx"}),
    ("nvtx_gpu_proj_sum", {"total proj time (ns)"}),
    ("nvtx_sum", {"range"}),
    ("cuda_api_sum", {"num calls"}),
    ("cuda_gpu_mem_time_sum", {"operation", "time (%)"}),
    ("cuda_gpu_mem_time_sum", {"operation", "time(%)"}),
    ("cuda_gpu_mem_size_sum", {"operation"}),
    ("cuda_gpu_kern_sum", {"instances", "name"}),
)
"""Report -> headings, in lower case, that tell it where the file does not name it; first match."""


def _report(said: str, titles: list[str]) -> str:
    named: list[str] = _REPORT.findall(said)
    if named:
        return OLD_NAMES.get(named[-1], named[-1])
    here = {title.strip().lower() for title in titles}
    return next((name for name, wanted in _BY_HEADINGS if wanted <= here), "unknown")


def _nothing(source: Path, skipped: list[Any]) -> InputError | NoSignalError:
    if skipped:
        return NoSignalError(
            f"{source} holds no table: nsys says {skipped[-1]}", fix="check what was recorded"
        )
    return InputError(
        f"{source} is no CSV of nsys stats: no line is the header of one of its reports",
        fix=f"write one: {EXPORT}",
    )
