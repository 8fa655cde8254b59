"""An analysis as JSON, and as a folder of files."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import click
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
        "tables": {name: table.to_pylist() for name, table in _tables(made).items()},
        "table_notes": made.notes,
        "unanswered": made.unanswered,
        **made.findings,
    }
    plain: dict[str, Any] = plain_json(document, "", non_finite)
    return plain | ({"non_finite": non_finite} if non_finite else {})


def analysis_json(path: Path, trace: Trace, made: Analysis) -> str:
    """`analysis_document` as text."""
    return json.dumps(analysis_document(path, trace, made), indent=1)


def write_analysis(path: Path, trace: Trace, made: Analysis, folder: Path) -> None:
    """Write each table as ``NAME.csv``, the Trace as `TRACE` and the document as `FIGURES`.

    What an earlier run of this command wrote there is removed first, as its `FIGURES` name it.

    Raises:
        InputError: the folder cannot be written to.
    """
    text = analysis_json(path, trace, made)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_earlier(folder)
        for name, table in _tables(made).items():
            _write(folder / f"{name}.csv", csv_safe(table))
        _write(folder / FIGURES, text + "\n")
    except OSError as error:
        raise InputError(
            f"cannot write to --out {folder} ({error.strerror})",
            fix="choose a folder that you may write to",
        ) from error
    write_trace(trace, folder / TRACE)


def _tables(made: Analysis) -> dict[str, pa.Table]:
    return made.tables | made.unshown


def _remove_earlier(folder: Path) -> None:
    """Remove the files of an earlier run, its figures last, and no other."""
    tables = _earlier_tables(folder / FIGURES)
    if tables is None:
        return
    click.echo(f"replacing the earlier results in {folder}", err=True)
    for name in (*(f"{table}.csv" for table in tables), TRACE, FIGURES):
        (folder / name).unlink(missing_ok=True)


def _earlier_tables(path: Path) -> list[str] | None:
    """Names of the tables that an earlier run wrote; None where the file is of no such run."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not {"source", "table_notes"} <= set(document):
        return None
    tables = document.get("tables")
    return [name for name in tables if _NAME.fullmatch(name)] if isinstance(tables, dict) else None


_NAME = re.compile("[a-z0-9_]+")
"""Names of tables: none leads out of the folder."""


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
