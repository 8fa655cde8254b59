"""What an export says about itself: versions, GPUs, and what the profiler could not record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from harness.record.files.nsys.database import Database, quoted
from harness.record.files.nsys.strings import decoded, text

META = ("META_DATA_EXPORT", "EXPORT_META_DATA")
"""As newer and as older releases name it."""

GPUS, STARTED, ANALYSIS = "TARGET_INFO_GPU", "TARGET_INFO_SESSION_START_TIME", "ANALYSIS_DETAILS"
DIAGNOSTICS = "DIAGNOSTIC_EVENT"

_VERSIONS = {"nsys": "EXPORT_PRODUCT_VERSION", "nsys schema": "EXPORT_SCHEMA_VERSION"}

_WARNING = 2
"""Of ENUM_DIAGNOSTIC_SEVERITY_LEVEL; 3 is an error."""

_LOST = re.compile(r"not all (cuda|nvtx|cupti).*collected|\b(dropped|lost|overflow)", re.IGNORECASE)
_RELEVANT = re.compile(r"\b(cuda|cupti|nvtx|gpu)\b", re.IGNORECASE)
_MOST = 20
"""Diagnostics that are passed on."""


def versions(database: Database) -> dict[str, str]:
    """Versions of the profiler and of the export's schema; empty for exports that do not say."""
    for table in META:
        if {"name", "value"} <= set(database.columns.get(table, ())):
            said = {
                decoded(row["name"]): decoded(row["value"])
                for row in database.rows(
                    f"SELECT {text('name')} AS name, {text('value')} AS value FROM {quoted(table)}"
                )
            }
            return {ours: said[theirs] for ours, theirs in _VERSIONS.items() if said.get(theirs)}
    return {}


def gpu(database: Database) -> dict[str, Any]:
    """The first GPU of the machine, under ``all`` every one where there are several."""
    found = [_gpu(row) for row in _rows(database, GPUS)]
    found.sort(key=lambda one: str(one.get("index")))
    if not found:
        return {}
    return {**found[0], "all": found} if len(found) > 1 else found[0]


def _gpu(row: Mapping[str, Any]) -> dict[str, Any]:
    major, minor = row.get("computeMajor"), row.get("computeMinor")
    facts = {
        "index": row.get("id"),
        "name": row.get("name"),
        "uuid": row.get("uuid"),
        "capability": None if major is None or minor is None else f"{major}.{minor}",
        "multiprocessors": row.get("smCount"),
        "memory_bytes": row.get("totalMemory"),
        "memory_bandwidth_bytes_per_s": row.get("memoryBandwidth"),
    }
    return {key: value for key, value in facts.items() if value is not None}


def created(database: Database) -> str:
    """When the recording ended, ISO 8601 in UTC; empty for exports that do not say."""
    began = [row.get("utcEpochNs") for row in _rows(database, STARTED)]
    lasted = [row.get("duration") for row in _rows(database, ANALYSIS)]
    if not began or not isinstance(began[0], int):
        return ""
    ns = began[0] + (lasted[0] if lasted and isinstance(lasted[0], int) else 0)
    try:
        return datetime.fromtimestamp(ns // 10**9, UTC).isoformat()
    except (ValueError, OSError, OverflowError):
        return ""


def diagnostics(database: Database) -> tuple[list[str], list[str]]:
    """What the profiler says that it may have lost, and its other warnings about CUDA and NVTX."""
    rows = [
        row
        for row in _rows(database, DIAGNOSTICS)
        if isinstance(row.get("severity"), int) and row["severity"] in (_WARNING, _WARNING + 1)
    ]
    said = Counter(" ".join(str(row.get("text") or "").split()) for row in rows)
    sentences = {
        line: f"nsys says: {line}" + (f" ({times} times)" if times > 1 else "")
        for line, times in said.items()
    }
    lost = [sentences[line] for line in said if _LOST.search(line)]
    other = [sentences[line] for line in said if _RELEVANT.search(line) and not _LOST.search(line)]
    return lost[:_MOST], other[:_MOST]


def _rows(database: Database, table: str) -> list[dict[str, Any]]:
    """All rows of a small table, texts as strings."""
    columns = database.columns.get(table, ())
    if not columns:
        return []
    # One value of a row at a time would be text or number: so all are bytes, or integers.
    selected = ", ".join(
        f"CASE typeof({quoted(one)}) WHEN 'integer' THEN {quoted(one)} END, {text(one)}"
        for one in columns
    )
    names = [name for one in columns for name in (one, None)]
    found = []
    for batch in database.batches(f"SELECT {selected} FROM {quoted(table)} LIMIT 10000"):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row: dict[str, Any] = {}
            for at in range(0, len(names), 2):
                number, written = values[at], values[at + 1]
                row[str(names[at])] = number if number is not None else (decoded(written) or None)
            found.append(row)
    return found
