"""Which reader a file needs, by what is in it and not by how it is called.

Only reports (``.nsys-rep``) go by their suffix: their format is not published.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import InputError, NoSignalError, TraceFormatError
from harness.trace import Trace, read_trace

_HEAD = 4096

_SQLITE, _PARQUET, _GZIP = b"SQLite format 3\0", b"PAR1", b"\x1f\x8b"
_REPORT_SUFFIXES = (".nsys-rep", ".qdrep")


def read_trace_file(path: str | Path, *, process: int | None = None) -> Trace:
    """Read a recording of any tool that is known here.

    A Trace (Parquet), an Nsight Systems export (SQLite) or report, or a trace of torch.profiler
    (JSON, also gzipped).

    Args:
        path: of the file.
        process: only what this process (its id in the file) did; by default all of them.

    Raises:
        InputError: there is no such file, or it is of a kind that holds no trace.
        TraceFormatError: the file is damaged or of no known kind.
        NoSignalError: it holds no kernel, or none of that process.
    """
    source = Path(path)
    trace = _read(source)
    return trace if process is None else _only(trace, process, source)


def _read(source: Path) -> Trace:
    head = _head(source)
    if not head:
        raise TraceFormatError(f"{source} is empty", fix="record it again")
    if head.startswith(_PARQUET):
        return read_trace(source)
    if head.startswith(_SQLITE):
        from harness.record.files.nsys import read_nsys_sqlite

        return read_nsys_sqlite(source)
    if source.suffix in _REPORT_SUFFIXES:
        from harness.record.files.nsys.rep import read_nsys_rep

        return read_nsys_rep(source)
    start = _unzipped(head)
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")):
        from harness.record.files.kineto import read_kineto

        return read_kineto(source)
    raise _unknown(source, start)


def _head(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(_HEAD)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {source}", fix="check the path") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{source} cannot be read ({error})", fix="check the path") from error


def _unzipped(head: bytes) -> bytes:
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head)
    except zlib.error:
        return b""


_STATS = re.compile(r"\b(Time ?\(%\)|Start ?\(ns\)|Total Time ?\(ns\))")
_NCU = re.compile(r'"?ID"?,"?Process ID"?|==PROF==|"Metric Name"')


def _unknown(source: Path, head: bytes) -> InputError | TraceFormatError:
    text = head.decode("utf-8", "replace")
    if source.suffix == ".ncu-rep" or _NCU.search(text):
        return InputError(
            f"{source} is of Nsight Compute: metrics of kernels, without when they ran",
            fix="pass a trace here, and this beside it for the roofline",
        )
    if _STATS.search(text):
        return InputError(
            f"{source} is a table of nsys stats, which sums up and holds no trace",
            fix="pass the report (.nsys-rep) or its export (nsys export --type sqlite)",
        )
    return TraceFormatError(
        f"{source} is of no known kind",
        fix="pass a Trace (.parquet), an export of nsys (.sqlite), a report (.nsys-rep) or a "
        "torch.profiler trace (.json, .json.gz)",
    )


def _only(trace: Trace, process: int, source: Path) -> Trace:
    tables = {
        name: table.filter(pc.fill_null(pc.equal(table["process"], process), False))
        for name, table in (("activities", trace.activities), ("calls", trace.calls))
    }
    if not tables["activities"].num_rows:
        processes = pc.unique(trace.activities["process"]).to_pylist()
        known = sorted(one for one in processes if one is not None)
        raise NoSignalError(
            f"process {process} put nothing on a GPU in {source}",
            fix=f"choose one of the processes {known}",
        )
    regions = trace.regions["process"]
    mine = pc.or_(pc.is_null(regions), pc.fill_null(pc.equal(regions, process), False))
    note = (
        f"only process {process} is kept; lost records, what makes the recording incomplete and "
        "the other notes are of the whole file"
    )
    lonely = min(trace.info.unattributed, _without_call(**tables))
    info = replace(trace.info, unattributed=lonely, notes=(*trace.info.notes, note))
    return Trace(tables["activities"], info, trace.regions.filter(mine), tables["calls"])


def _without_call(activities: pa.Table, calls: pa.Table) -> int:
    """How many activities on the device of one process none of its calls launched."""
    known = pc.unique(calls["correlation"]).drop_null()
    launched = pc.is_in(activities["correlation"], known)
    on_device = pc.not_equal(activities["kind"].cast(pa.string()), "op")
    return pc.sum(pc.and_not(on_device, launched)).as_py() or 0
