"""Whatever is wrong with an export: the result is a Trace or an error of ours, never a crash."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, TraceFormatError
from harness.record.files import read_trace_file
from harness.trace import Trace, write_trace
from tests.nsys_files import GRAPH_NODES, GRAPH_TRACE, TWO_GPUS, changed, content, export

SMALL = (
    "nsys2022.2_a100_saxpy_mpi_nvtx.sqlite",
    "nsys_pre2022_rtx6000_no_metadata.sqlite",
    GRAPH_TRACE,
    GRAPH_NODES,
)

TABLES = (
    "CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_MEMCPY", "CUPTI_ACTIVITY_KIND_RUNTIME",
    "CUPTI_ACTIVITY_KIND_GRAPH_TRACE", "CUDA_GRAPH_NODE_EVENTS", "NVTX_EVENTS", "StringIds",
    "TARGET_INFO_GPU", "TARGET_INFO_CUDA_DEVICE", "META_DATA_EXPORT", "DIAGNOSTIC_EVENT",
)  # fmt: skip

VALUES = (
    None, -1, 0, 2**31, 2**63 - 1, -(2**63), 1.5, float("inf"), "", "12", "text",
    "'; DROP TABLE StringIds; --", "[red]x[/red]", "a\0b", b"\xff\xfe", b"\xc3\x28", "\u202e\ud7ff",
)  # fmt: skip

FEW = settings(max_examples=60, deadline=None)


def outcome(blob):
    """Read a file with this content; anything but a Trace or an error of ours fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.sqlite"
        path.write_bytes(blob)
        return read(path)


def read(path):
    try:
        trace = read_trace_file(path)
    except HarnessError as error:
        if error.exit_code not in (2, 3):
            raise
        return error
    for table in (trace.activities, trace.regions, trace.calls):
        table.validate(full=True)
    assert isinstance(trace, Trace)
    assert len(trace)
    write_trace(trace, path.with_suffix(".parquet"))
    return trace


@FEW
@given(
    name=st.sampled_from(SMALL),
    flips=st.lists(st.tuples(st.integers(0, 2**24), st.integers(0, 255)), max_size=200),
    near_the_start=st.booleans(),
)
def test_bytes_that_flipped(name, flips, near_the_start):
    blob = bytearray(content(name))
    for at, value in flips:
        blob[at % (8192 if near_the_start else len(blob))] = value
    outcome(bytes(blob))


@FEW
@given(name=st.sampled_from(SMALL), share=st.floats(0, 1))
def test_files_that_were_cut(name, share):
    blob = content(name)
    outcome(blob[: int(len(blob) * share)])


@FEW
@given(
    name=st.sampled_from(SMALL),
    places=st.lists(
        st.tuples(st.sampled_from(TABLES), st.integers(0, 60), st.sampled_from(VALUES),
                  st.sampled_from([1, 2, 7])),
        min_size=1, max_size=4,
    ),
)  # fmt: skip
def test_values_of_any_type_in_any_column(name, places):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.sqlite"
        path.write_bytes(content(name))
        with closing(sqlite3.connect(path)) as file:
            for table, at, value, every in places:
                column = column_of(file, table, at)
                if column:
                    change = (
                        f'UPDATE OR IGNORE {table} SET "{column}" = ? WHERE rowid % {every} = 0'
                    )
                    attempt(file, change, value)
            file.commit()
        read(path)


@FEW
@given(
    name=st.sampled_from(SMALL),
    changes=st.lists(
        st.tuples(st.sampled_from(["table", "column", "rename", "rows"]), st.sampled_from(TABLES),
                  st.integers(0, 60)),
        min_size=1, max_size=5,
    ),
)  # fmt: skip
def test_tables_columns_and_rows_that_are_gone(name, changes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.sqlite"
        path.write_bytes(content(name))
        with closing(sqlite3.connect(path)) as file:
            for what, table, at in changes:
                column = column_of(file, table, at)
                if column:
                    attempt(file, {
                        "table": f"DROP TABLE {table}",
                        "column": f'ALTER TABLE {table} DROP COLUMN "{column}"',
                        "rename": f'ALTER TABLE {table} RENAME COLUMN "{column}" TO "a ""b"',
                        "rows": f"DELETE FROM {table} WHERE rowid % {at + 1} = 0",
                    }[what])  # fmt: skip
            file.commit()
        read(path)


def column_of(file, table, at):
    """A column of the table, None where there is no such table."""
    columns = [row[1] for row in file.execute(f"PRAGMA table_info({table})")]
    return columns[at % len(columns)] if columns else None


def attempt(file, statement, *values):
    """What SQLite itself refuses, such as dropping a table's last column, is not done."""
    try:
        file.execute(statement, values)
    except sqlite3.Error:
        return


@pytest.mark.parametrize("name", SMALL)
def test_as_they_are_they_are_read(name):
    assert isinstance(outcome(content(name)), Trace)


KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"


@pytest.mark.parametrize("times", ["end = 0", "start = 0, end = 0", "end = start - 1"])
def test_rows_without_usable_times_lose_them_and_are_counted(tmp_path, times):
    path = changed(
        export(TWO_GPUS, tmp_path),
        f"UPDATE {KERNELS} SET {times} WHERE rowid IN (SELECT rowid FROM {KERNELS} LIMIT 3)",
    )
    trace = read(path)
    assert any(reason.startswith("3 activities have no start") for reason in trace.info.incomplete)
    for column in ("start_ns", "end_ns"):
        assert trace.activities[column].null_count == 3
    assert pc.min(trace.activities["start_ns"]).as_py() > 0


@pytest.mark.parametrize("times", ["end = 9223372036854775807", "start = -9000000000000000000"])
def test_times_that_no_clock_gives_are_refused(tmp_path, times):
    path = changed(
        export(TWO_GPUS, tmp_path),
        f"UPDATE {KERNELS} SET {times} WHERE rowid IN (SELECT rowid FROM {KERNELS} LIMIT 2)",
    )
    error = read(path)
    assert isinstance(error, TraceFormatError)
    assert "which no clock gives" in str(error)


def test_activities_without_a_recorded_launch_call_make_the_trace_incomplete(tmp_path):
    trace = read(export(TWO_GPUS, tmp_path))
    assert trace.info.unattributed == 2276
    (reason,) = trace.info.incomplete
    assert reason == "2276 activities have no recorded launch call, so no known region"
