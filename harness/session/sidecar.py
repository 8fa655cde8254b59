"""A JSON file beside a collector's CSV: for each row its key and what alignment found of it.

The CSV stays as its writer makes it: its header is frozen by its first row, and a column more would
become part of every row's identity. The sidecar is appended to, a JSON object per line, under a
lock, since several workers write beside one file.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.align.model import Alignment, Verdict
from harness.errors import InputError
from harness.report.evidence import evidence, sealed
from harness.report.plain import plain_json
from harness.session.outcome import Outcome, counted, launched
from harness.session.rows import Row, rows_of

SCHEMA = "harness.sidecar/1"
SUFFIX = ".align.jsonl"
"""Appended to the whole name of the CSV (``dsa_perf.txt.align.jsonl``), so that no pattern of the
collectors' own files takes it for one."""

OPEN = "it has not been compared"


class Sidecar:
    """Remembers benchmark calls and rows of a session, and writes what is known of each row."""

    def __init__(self) -> None:
        self._calls: list[Outcome] = []
        self._since: list[Outcome] = []
        self._rows: list[Row] = []
        self._lock = threading.Lock()

    def benchmarked(self, outcome: Outcome) -> None:
        """A benchmark call was made."""
        self._calls.append(outcome)
        self._since.append(outcome)

    def written(self, arguments: Mapping[str, Any]) -> None:
        """A writer has returned, called with these arguments; writes what has been compared.

        Raises:
            InputError: the sidecar cannot be written.
        """
        with self._lock:
            self._rows += rows_of(arguments, self._calls, self._since)
            self._since.clear()
        self.flush()

    def flush(self, reason: str = "") -> None:
        """Write the rows whose calls have been compared; with a ``reason``, all others too.

        Args:
            reason: why the others will not be compared any more.

        Raises:
            InputError: the sidecar cannot be written.
        """
        with self._lock:
            ready = [row for row in self._rows if reason or _compared(row)]
            self._rows = [row for row in self._rows if row not in ready]
        lines: dict[Path, list[str]] = {}
        for row in ready:
            lines.setdefault(row.path, []).append(json.dumps(document(row, reason)) + "\n")
        for path, some in lines.items():
            _append(path.with_name(path.name + SUFFIX), "".join(some))


def document(row: Row, reason: str) -> dict[str, Any]:
    """One line of a sidecar: plain JSON values with a content hash.

    Args:
        row: what was written to the CSV.
        reason: why calls that have no alignment have none.

    Returns:
        ``key`` and ``metrics`` of the row, ``verdict`` (the worst of its calls; null where one was
        not compared), ``linked_by``, and ``calls``.
    """
    verdicts = [call.alignment.verdict for call in row.calls if call.alignment]
    whole = {
        "schema": SCHEMA,
        "file": row.path.name,
        "key": {name: _scalar(value) for name, value in row.key.items()},
        "metrics": {name: _scalar(value) for name, value in row.metrics.items()},
        "verdict": Verdict.worst(verdicts) if _compared(row) else None,
        "linked_by": row.linked_by,
        "calls": [_call(call, reason) for call in row.calls],
    }
    non_finite: dict[str, str] = {}
    plain = plain_json(whole, "", non_finite)
    return sealed({**plain, "non_finite": non_finite})


def _compared(row: Row) -> bool:
    return all(call.alignment is not None for call in row.calls)


def _call(call: Outcome, reason: str) -> dict[str, Any]:
    measured = {name: value for name, value in call.result.items() if name != "kernels"}
    if call.alignment is None:
        return {"verdict": None, "summary": reason or OPEN, "measured": measured}
    return {**_aligned(call.alignment), "measured": measured}


def _aligned(alignment: Alignment) -> dict[str, Any]:
    checks = {check.name: f"{check.status}: {check.reason}" for check in alignment.checks}
    return {
        "verdict": alignment.verdict,
        "summary": alignment.summary,
        "case": alignment.case,
        "checks": checks,
        "kernels": counted(launched(alignment)),
        "evidence": evidence(alignment)["content_hash"],
    }


def _scalar(value: Any) -> Any:
    """NumPy's scalars as Python's, so that 8 stays a number."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # closing the file gives it back
            file.write(text)
    except OSError as error:
        raise InputError(
            f"cannot write the sidecar {path} ({error.strerror or error})",
            fix="let the collector write to a folder that you may write to",
        ) from error
