"""Texts of an export: those in the table StringIds, and those beside the rows."""

from __future__ import annotations

from collections.abc import Iterable

from harness.record.files.nsys.database import Database, quoted

STRINGS = "StringIds"

_AT_A_TIME = 500


def strings(database: Database, ids: Iterable[int | None]) -> dict[int, str]:
    """The strings of these ids; those that the export does not have are left out.

    Bytes that are no UTF-8 are replaced, since names are shown and written to other formats.
    """
    if not {"id", "value"} <= set(database.columns.get(STRINGS, ())):
        return {}
    wanted = sorted({one for one in ids if one is not None})
    found: dict[int, str] = {}
    for at in range(0, len(wanted), _AT_A_TIME):
        some = wanted[at : at + _AT_A_TIME]
        marks = ", ".join("?" * len(some))
        for row in database.rows(
            f"SELECT id, {text('value')} AS value FROM {quoted(STRINGS)} WHERE id IN ({marks})",
            *some,
        ):
            found[row["id"]] = decoded(row["value"])
    return found


def text(column: str) -> str:
    """SQL for a column as bytes, empty for null: so every batch has one type."""
    return f"CAST(ifnull({quoted(column)}, '') AS BLOB)"


def decoded(value: bytes) -> str:
    """Bytes of a text as a string."""
    return value.decode("utf-8", "replace")
