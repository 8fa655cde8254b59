"""A Trace as one Parquet file that any Parquet reader can open.

The three tables lie one after the other in one file: a first column ``table`` says which one a row
belongs to ("activity", "region", "call"), and the columns that a table does not have are null
there. TraceInfo and the format version are in the file's key-value metadata.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.errors import InputError, TraceFormatError
from harness.trace.columns import Nulls, column_of
from harness.trace.dims import DIM3_COLUMN, DIM3_FILE, decode
from harness.trace.info import TraceInfo
from harness.trace.model import Trace
from harness.trace.schema import FORMAT_VERSION, TABLES

_VERSION_KEY = b"harness.trace.version"
_INFO_KEY = b"harness.trace.info"


def _union_schema() -> pa.Schema:
    fields = {"table": pa.field("table", pa.dictionary(pa.int32(), pa.string()))}
    for schema in TABLES.values():
        for field in schema:
            plain = DIM3_FILE if field.type.equals(DIM3_COLUMN) else field.type
            fields.setdefault(field.name, field.with_type(plain))
    return pa.schema(list(fields.values()))


def write_trace(trace: Trace, path: str | Path) -> Path:
    """Write a Trace to one Parquet file, replacing what was there.

    Args:
        path: the file to write; its folder must exist.

    Returns:
        The path written.

    Raises:
        InputError: the file cannot be written.
    """
    target = Path(path)
    union = _union_schema()
    metadata = {
        _VERSION_KEY: str(FORMAT_VERSION).encode(),
        _INFO_KEY: trace.info.to_json().encode(),
    }
    try:
        # opened here: Arrow takes no file name that is not UTF-8
        with (
            target.open("wb") as file,
            pq.ParquetWriter(file, union.with_metadata(metadata), compression="zstd") as writer,
        ):
            for name, table in zip(
                TABLES, (trace.activities, trace.regions, trace.calls), strict=True
            ):
                writer.write_table(_widen(table, name, union))
    except OSError as error:
        raise InputError(
            f"cannot write the Trace to {target} ({error.strerror or error})",
            fix="choose a folder that exists and that you may write to",
        ) from error
    return target


def read_trace(path: str | Path) -> Trace:
    """Read a Trace that `write_trace` wrote.

    Raises:
        InputError: there is no such file, or it may not be read.
        TraceFormatError: the file is not a Trace, is damaged, or has an unknown format version.
    """
    source = Path(path)
    try:
        with source.open("rb") as file:  # opened here: Arrow takes no file name that is not UTF-8
            table = pq.read_table(file)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {source}", fix="check the path") from error
    except (IsADirectoryError, PermissionError) as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror})", fix="name a file that you may read"
        ) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise TraceFormatError(
            f"{source} is not a readable Parquet file ({error})",
            fix="check that it was written completely, or record it again",
        ) from error
    return _split(table, source)


def _split(table: pa.Table, source: Path) -> Trace:
    metadata = table.schema.metadata or {}
    version = metadata.get(_VERSION_KEY, b"").decode(errors="replace")
    if not version:
        raise TraceFormatError(
            f"{source} is a Parquet file but not a Trace (no {_VERSION_KEY.decode()} in it)",
            fix="pass a file written by harness, such as mock.parquet",
        )
    if version != str(FORMAT_VERSION):
        raise TraceFormatError(
            f"{source} has Trace format version {version}, this release reads {FORMAT_VERSION}",
            fix="read it with the release that wrote it, or record it again",
        )
    missing = set(_union_schema().names) - set(table.schema.names)
    if missing or _INFO_KEY not in metadata:
        raise TraceFormatError(
            f"{source} lacks parts of a Trace: {sorted(missing) or _INFO_KEY.decode()}",
            fix="record it again",
        )
    owner = table["table"].cast(pa.string())
    try:
        parts = {
            name: _narrow(table.filter(pc.equal(owner, name)), schema)
            for name, schema in TABLES.items()
        }
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise TraceFormatError(
            f"{source} holds values that no Trace has ({error})", fix="record it again"
        ) from error
    return Trace(
        activities=parts["activity"],
        regions=parts["region"],
        calls=parts["call"],
        info=TraceInfo.from_json(metadata[_INFO_KEY].decode()),
    )


def _narrow(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of one of the tables, as they are kept in memory."""
    columns = [column_of(table[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _widen(table: pa.Table, name: str, union: pa.Schema) -> pa.Table:
    rows = table.num_rows
    label = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([name]))
    absent = Nulls(rows)
    columns = []
    for field in union:
        if field.name == "table":
            columns.append(label)
        elif field.name not in table.schema.names:
            columns.append(absent.of(field.type))
        elif table.schema.field(field.name).type.equals(DIM3_COLUMN):
            columns.append(decode(table[field.name].combine_chunks()))
        else:
            columns.append(table[field.name])
    return pa.Table.from_arrays(columns, schema=union)
