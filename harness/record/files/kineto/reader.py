"""A trace of torch.profiler to a Trace."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import InputError, NoSignalError, TraceFormatError
from harness.record.files.kineto.collect import Collected
from harness.record.files.kineto.document import Document
from harness.record.files.kineto.info import info_of
from harness.record.files.kineto.scan import MalformedError
from harness.record.files.kineto.source import Source
from harness.record.files.kineto.tables import Tables, tables_of
from harness.trace import Trace

RANGES = ("user_annotation", "cpu_op", "python_function")
"""Categories of host ranges that can become regions."""

_BASE = "baseTimeNanoseconds"


def read_kineto(path: str | Path, *, ranges: Collection[str] = RANGES[:1]) -> Trace:
    """Read what ``torch.profiler`` exported, ``.json`` or ``.json.gz``.

    The file is streamed: memory grows with the activities and calls, not with the file.

    Kernels, copies and fills become activities, calls of the CUDA runtime and driver calls.
    Activities are put to the call with their correlation id, and to the range that was innermost
    on the calling thread as the call began; nodes of CUDA graphs by the launch of the graph only.
    ``gpu_user_annotation``, Kineto's projection of annotations onto streams, is not kept, since
    `harness.analyze.projection` computes it; a note counts what is not kept.

    Args:
        path: of the file.
        ranges: categories of `RANGES` whose events become regions, with the category as domain.
            ``cpu_op`` are ATen calls, ``python_function`` Python calls and modules; there may be
            more of them than of anything else.

    Raises:
        InputError: there is no such file, or ``ranges`` names something else.
        TraceFormatError: it is damaged or cut, or no trace.
        NoSignalError: it holds no kernel.
    """
    return read_with_header(Path(path), ranges)[0]


def read_with_header(source: Path, ranges: Collection[str]) -> tuple[Trace, dict[str, Any]]:
    """As `read_kineto`, with the members of the file beside its events."""
    unknown = sorted(set(ranges) - set(RANGES))
    if unknown:
        raise InputError(f"there are no ranges {unknown}", fix=f"choose of {list(RANGES)}")
    found = Collected(ranges)
    with Source(source) as file:
        document = Document(file)
        for events in document.batches():
            try:
                found.add(events)
            except (MalformedError, OverflowError) as error:
                raise _wrong(source, error) from error
    try:
        tables = tables_of(found, _base(document.header, source))
    except (ValueError, OverflowError, pa.ArrowException) as error:
        raise _wrong(source, error) from error
    _check_kernels(tables, found, source)
    info = info_of(document, found, tables, source.name)
    trace = Trace(tables.activities, info, tables.regions, tables.calls)
    return trace, document.header


def _base(header: dict[str, Any], source: Path) -> int:
    """What ``ts`` is relative to, ns since the epoch; 0 in files without, before torch 2.4."""
    base = header.get(_BASE, 0)
    if type(base) is not int or not 0 <= base < 1 << 62:
        raise TraceFormatError(
            f"{_BASE} of {source} is no time ({str(base)[:40]})", fix="record it again"
        )
    return base


def _wrong(source: Path, error: Exception) -> TraceFormatError:
    return TraceFormatError(
        f"{source} holds values that no trace of torch.profiler has: {error}",
        fix="check that torch.profiler wrote it, or record it again",
    )


def _check_kernels(tables: Tables, found: Collected, source: Path) -> None:
    kinds = set(tables.activities["kind"].unique().to_pylist())
    if "kernel" in kinds:
        return
    launches = [n for n in tables.calls["name"].unique().to_pylist() if "Launch" in n]
    fix = "profile with ProfilerActivity.CUDA, and a GPU step inside the profiled window"
    why = f"{sum(found.left_out.values())} other events"
    if launches:
        why = f"but calls of {launches[0]}, so CUPTI delivered no activities"
        fix = "profile without another profiler (nsys, ncu, CUPTI) in the process"
    elif kinds:
        why = f"only {' and '.join(sorted(kinds))}"
    raise NoSignalError(f"{source} holds no kernel ({why})", fix=fix)
