"""A SQLite file that is only read, into Arrow. The only file that imports the ADBC driver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_sqlite import StatementOptions, dbapi

from harness.errors import InputError, TraceFormatError

_BATCH_ROWS = 65536
_MAGIC = b"SQLite format 3\0"

_GUARDS = ("PRAGMA query_only=ON", "PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON")
"""Nothing is written, and no expression inside the schema calls a function that has effects."""

Row = dict[str, Any]


def quoted(name: str) -> str:
    """A table's or column's name as an SQL identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


class Database:
    """One connection to a SQLite file, read-only and without extensions.

    The file is opened as immutable: no lock, no journal and no other file is made beside it.

    Args:
        path: of the file.
        columns: as of another connection to it; read by default.

    Attributes:
        columns: the columns of each table by the table's name; views and virtual tables are no
            tables here.

    Raises:
        InputError: there is no such file, it may not be read, or it is still being written.
        TraceFormatError: it is no SQLite file, or a damaged one.
    """

    def __init__(self, path: Path, columns: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.path = path
        _check(path)
        with self._errors():
            uri = path.resolve().as_uri() + "?mode=ro&immutable=1"
            self._connection = dbapi.connect(uri, autocommit=True)
        try:
            for guard in _GUARDS:
                self.rows(guard)
            self.columns = self._columns() if columns is None else columns
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def batches(self, sql: str, *parameters: int | str) -> Iterator[pa.RecordBatch]:
        """The result of a query, at most 65,536 rows at a time.

        A column is of the type of its values in the first batch, int64 where all are null.

        Args:
            sql: one statement, with ``?`` for each parameter.

        Raises:
            TraceFormatError: the file is damaged, or a column holds values of several types.
        """
        with self._errors(), self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(
                **{StatementOptions.BATCH_ROWS.value: str(_BATCH_ROWS)}
            )
            cursor.execute(sql, parameters or None)
            yield from cursor.fetch_record_batch()

    def rows(self, sql: str, *parameters: int | str) -> list[Row]:
        """The result of a query with few rows; arguments and errors as of `batches`."""
        with self._errors():
            return [row for batch in self.batches(sql, *parameters) for row in batch.to_pylist()]

    def _columns(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for row in self.rows(
            "SELECT CAST(t.name AS BLOB) AS t, CAST(c.name AS BLOB) AS c"
            " FROM pragma_table_list AS t, pragma_table_info(t.name) AS c"
            " WHERE t.schema = 'main' AND t.type = 'table' ORDER BY t.name, c.cid"
        ):
            found.setdefault(_text(row["t"]), []).append(_text(row["c"]))
        return {table: tuple(columns) for table, columns in found.items()}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (adbc_driver_manager.Error, pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).partition("\nquery:")[0]
            raise TraceFormatError(
                f"{self.path} cannot be read as SQLite ({reason})",
                fix="check that it was copied completely, or export it again with nsys export",
            ) from error


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}", fix="check the path") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error})", fix="check the path") from error
    if start != _MAGIC:
        raise TraceFormatError(f"{path} is no SQLite file", fix="pass what nsys export wrote")
    for suffix in ("-wal", "-journal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise InputError(
                f"{path} is still being written or was cut off ({beside.name} is there)",
                fix="wait for nsys export to end, or export it again",
            )


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
