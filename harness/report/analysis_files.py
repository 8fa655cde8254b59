"""An analysis as JSON, and as a folder of files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.analyze.analysis import Analysis
from harness.errors import InputError
from harness.report.plain import plain_json
from harness.trace import Trace, write_trace

TRACE, FIGURES = "trace.parquet", "figures.json"

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def analysis_document(path: Path, trace: Trace, made: Analysis) -> dict[str, Any]:
    """The figures at the top level, with the file, the completeness, tables and findings.

    Whole numbers are integers; what is not known is null, and so is a number that is not finite,
    whose path ``non_finite`` names.
    """
    info = trace.info
    non_finite: dict[str, str] = {}
    document = {
        "file": str(path),
        "source": info.source,
        "versions": info.versions,
        "gpu": info.gpu,
        "complete": info.complete,
        "incomplete": info.incomplete,
        "notes": info.notes,
        **made.figures,
        "tables": {name: table.to_pylist() for name, table in made.tables.items()},
        "table_notes": made.notes,
        **made.findings,
    }
    plain: dict[str, Any] = plain_json(document, "", non_finite)
    return plain | ({"non_finite": non_finite} if non_finite else {})


def analysis_json(path: Path, trace: Trace, made: Analysis) -> str:
    """`analysis_document` as text."""
    return json.dumps(analysis_document(path, trace, made), indent=1)


def write_analysis(path: Path, trace: Trace, made: Analysis, folder: Path) -> None:
    """Write each table as ``NAME.csv``, the Trace as `TRACE` and the document as `FIGURES`.

    Raises:
        InputError: the folder cannot be written to.
    """
    text = analysis_json(path, trace, made)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in made.tables.items():
            _write(folder / f"{name}.csv", csv_safe(table))
        _write(folder / FIGURES, text + "\n")
    except OSError as error:
        raise InputError(
            f"cannot write to --out {folder} ({error.strerror})",
            fix="choose a folder that you may write to",
        ) from error
    write_trace(trace, folder / TRACE)


def csv_safe(table: pa.Table) -> str:
    """A table as CSV: a header, nulls empty, lists and structures as JSON.

    A text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV
    Injection"), since names come out of files of others.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(table.column_names)
    columns = [map(_cell, table[name].to_pylist()) for name in table.column_names]
    writer.writerows(zip(*columns, strict=True))
    return written.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
