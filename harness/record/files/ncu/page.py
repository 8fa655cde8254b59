"""``read_ncu``: a CSV or report of Nsight Compute -> `NcuReport`."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from harness.errors import InputError, NoSignalError
from harness.record.files.ncu.lines import Block, Split, split_lines
from harness.record.files.ncu.numbers import NumberStyle, number_style
from harness.record.files.ncu.program import export_csv, is_report
from harness.record.files.ncu.report import NcuReport
from harness.record.files.ncu.table import (
    IDENTITY,
    OTHER_IDENTITY,
    Cells,
    Rows,
    add_detail,
    add_raw,
    same_kernel,
)
from harness.record.files.text import read_text

EXPORT = "ncu --import REPORT --csv --page raw > FILE.csv"

MOST_LOG_NOTES = 8
"""Lines of ncu's own log that become notes; the rest is counted."""

_REMEDIES = (
    (
        "ERR_NVGPUCTRPERM",
        "allow the GPU's performance counters to this user "
        "(https://developer.nvidia.com/ERR_NVGPUCTRPERM)",
    ),
    (
        "No kernels were profiled",
        "check ncu's filters (--kernel-name, --nvtx-include, --launch-skip) and that the program "
        "launches kernels; child processes need --target-processes all",
    ),
)


def read_ncu(path: str | Path) -> NcuReport:
    """Read what Nsight Compute measured.

    Args:
        path: the CSV that ``ncu --csv --page raw`` or ``--page details`` printed, with the lines
            of ncu and of the profiled program among it or not, plain or gzip; or a ``.ncu-rep``,
            which the installed ``ncu`` exports.

    Raises:
        InputError: it cannot be read, or is another kind of file.
        TraceFormatError: it is damaged.
        NoSignalError: no kernel was profiled; the reason is ncu's own where it gives one.
        MissingPackageError: a ``.ncu-rep`` is given and there is no ``ncu``.
    """
    source = Path(path)
    if is_report(source):
        text, program = export_csv(source)
        report = _read(split_lines(text), source)
        note = f"exported by {program}"
        return replace(report, versions={"ncu": program.version}, notes=(note, *report.notes))
    return _read(split_lines(read_text(source, EXPORT)), source)


def _read(found: Split, source: Path) -> NcuReport:
    blocks = [block for block in found.blocks if block.rows]
    if not blocks:
        raise _nothing(found, source)
    rows, notes, incomplete = Rows(), [], []
    pages = {_page(block, source) for block in blocks}
    if len(pages) > 1:
        raise InputError(
            f"{source} holds the raw and the details page", fix="keep one page per file"
        )
    page = pages.pop()
    for block in blocks:
        style = _style(block, page)
        if not style.sure and _ambiguous(block, page, style):
            notes.append(
                f"no number of {source.name} shows the decimal sign; read as {style.decimal!r}"
            )
        lost = _add_raw(rows, block, style) if page == "raw" else _add_details(rows, block, style)
        incomplete += [f"{source.name}: {reason}" for reason in lost]
    if not rows.kernels or not rows.metrics["kernel"]:
        raise _nothing(found, source)
    errors = [text for level, text in found.log if level == "ERROR"]
    incomplete += [f"ncu reports an error: {text}" for text in dict.fromkeys(errors)]
    metrics, rules = rows.tables()
    return NcuReport(
        metrics,
        rules,
        page,
        incomplete=tuple(dict.fromkeys(incomplete)),
        notes=(*dict.fromkeys(notes), *_log_notes(found)),
    )


def _page(block: Block, source: Path) -> str:
    if "Metric Name" not in block.header:
        return "raw"
    if "Metric Value" not in block.header:
        raise InputError(
            f"{source} is a summary over kernels (ncu --print-summary), not a table of launches",
            fix="export it without --print-summary",
        )
    return "details"


def _style(block: Block, page: str) -> NumberStyle:
    return number_style(_values(block, page), block.delimiter)


def _values(block: Block, page: str) -> list[str]:
    """The cells that may be numbers."""
    if page == "details":
        at = block.header.index("Metric Value")
        return [row[at] for row in block.rows if len(row) > at]
    left = [i for i, name in enumerate(block.header) if _is_metric(name)]
    return [row[i] for row in block.rows for i in left if i < len(row)]


def _is_metric(heading: str) -> bool:
    return heading not in IDENTITY and heading not in OTHER_IDENTITY


def _ambiguous(block: Block, page: str, style: NumberStyle) -> bool:
    other = NumberStyle("," if style.decimal == "." else ".")
    return any(style.parse(text) != other.parse(text) for text in _values(block, page))


def _add_raw(rows: Rows, block: Block, style: NumberStyle) -> list[str]:
    """Add a raw page; what of it is missing."""
    name_at = block.header.index("Kernel Name")
    units, body, lost = [""] * len(block.header), block.rows, []
    first = body[0]
    if not (first[name_at] if name_at < len(first) else ""):
        units[: len(first)] = first
        body = body[1:]
    for row in body:
        if len(row) <= name_at or not row[name_at]:
            lost.append("a row without a kernel's name is left out")
            continue
        if len(row) < len(block.header):
            cut = f"{len(row)} of {len(block.header)} columns"
            lost.append(f"the row of kernel {rows.kernels} has {cut}; the file may be cut")
        add_raw(rows, block.header, units, row, style)
    return lost


def _add_details(rows: Rows, block: Block, style: NumberStyle) -> list[str]:
    """Add a details page; what of it is missing."""
    lost = []
    kernel, before = None, Cells()
    shortest = block.header.index("Metric Name") + 1
    for row in block.rows:
        cells = dict(zip(block.header, row, strict=False))
        if len(row) < shortest or not cells.get("Kernel Name"):
            lost.append("a row that is cut or has no kernel's name is left out")
            continue
        if kernel is None or not same_kernel(before, cells):
            kernel, before = rows.kernel(cells), cells
        add_detail(rows, kernel, cells, style)
    return lost


def _nothing(found: Split, source: Path) -> InputError | NoSignalError:
    """Why there is no kernel."""
    said = [text for level, text in found.log if level in ("ERROR", "WARNING")]
    errors = [text for level, text in found.log if level == "ERROR"]
    if not found.log and not found.blocks:
        return InputError(
            f"{source} is no CSV of Nsight Compute: it has no header with a column Kernel Name",
            fix=f"export it: {EXPORT}",
        )
    reason = (errors or said or ["its table has no rows"])[-1]
    everything = " ".join(said)
    fix = next((fix for mark, fix in _REMEDIES if mark in everything), "profile it again")
    return NoSignalError(f"{source} holds no profiled kernel ({reason})", fix=fix)


def _log_notes(found: Split) -> list[str]:
    warnings = list(dict.fromkeys(t for level, t in found.log if level == "WARNING"))
    notes = [f"ncu warns: {text}" for text in islice(warnings, MOST_LOG_NOTES)]
    if len(warnings) > MOST_LOG_NOTES:
        notes.append(f"ncu warns {len(warnings) - MOST_LOG_NOTES} more times")
    if found.others:
        notes.append(f"{found.others} lines that are neither ncu's nor a row are left out")
    return notes
