"""The Trace keeps what it is given, on disk too, and refuses what it does not understand."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError, TraceFormatError
from harness.trace import (
    FORMAT_VERSION,
    Trace,
    TraceInfo,
    activities_table,
    calls_table,
    read_trace,
    regions_table,
    write_trace,
)

SOFTMAX = "_ZN2at6native29vectorized_elementwise_kernelILi4EEEvi"


def small_trace() -> Trace:
    return Trace(
        activities_table(
            [
                {
                    "kind": "kernel",
                    "name": SOFTMAX,
                    "start_ns": 10,
                    "end_ns": 30,
                    "grid": [4, 1, 1],
                    "region": 2,
                },
                {"kind": "memcpy", "name": "DtoD", "start_ns": 31, "end_ns": 35, "bytes": 4096},
                {
                    "kind": "op",
                    "name": "aten::add.Tensor",
                    "inputs": [
                        {"shape": [2, 3], "stride": [3, 1], "dtype": "bfloat16", "device": "meta"}
                    ],
                },
            ]
        ),
        TraceInfo("cupti", dropped_records=3, incomplete=("3 records were dropped",)),
        regions_table([{"id": 1, "name": "outer"}, {"id": 2, "name": "inner", "parent": 1}]),
        calls_table([{"name": "cudaLaunchKernel", "correlation": 7, "return_code": 0}]),
    )


def test_parquet_round_trip_keeps_every_table_and_the_info(tmp_path):
    trace = small_trace()
    again = read_trace(write_trace(trace, tmp_path / "t.parquet"))
    assert again.activities.equals(trace.activities)
    assert again.regions.equals(trace.regions)
    assert again.calls.equals(trace.calls)
    assert again.info == trace.info
    assert not again.info.complete


def test_the_file_is_plain_parquet_with_a_row_per_activity_region_and_call(tmp_path):
    path = write_trace(small_trace(), tmp_path / "t.parquet")
    owners = pq.read_table(path)["table"].to_pylist()
    assert owners == ["activity"] * 3 + ["region"] * 2 + ["call"]


def test_an_empty_trace_survives_the_round_trip(tmp_path):
    trace = Trace(activities_table([]), TraceInfo("dispatch"))
    assert len(read_trace(write_trace(trace, tmp_path / "t.parquet"))) == 0


def test_an_unknown_format_version_is_refused_with_both_versions_named(tmp_path):
    path = write_trace(small_trace(), tmp_path / "t.parquet")
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"harness.trace.version": b"99"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(TraceFormatError, match=rf"version 99, this release reads {FORMAT_VERSION}"):
        read_trace(path)


def test_a_parquet_file_that_is_no_trace_is_named_as_such(tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(TraceFormatError, match="not a Trace"):
        read_trace(path)


@given(cut=st.integers(min_value=0, max_value=3000))
def test_a_truncated_file_is_an_error_and_never_a_shorter_trace(tmp_path_factory, cut):
    path = write_trace(small_trace(), tmp_path_factory.mktemp("cut") / "t.parquet")
    data = path.read_bytes()
    path.write_bytes(data[: min(cut, len(data) - 1)])
    with pytest.raises(TraceFormatError):
        read_trace(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_trace(tmp_path / "none.parquet")


def test_an_unwritable_path_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot write the Trace"):
        write_trace(small_trace(), tmp_path / "no" / "such" / "t.parquet")


def test_a_region_holds_the_activities_of_the_regions_inside_it():
    trace = small_trace()
    assert len(trace.in_region("outer")) == 1
    assert len(trace.in_region("outer", nested=False)) == 0
    assert len(trace.in_region("nowhere")) == 0


def test_kinds_can_be_selected():
    assert len(small_trace().of_kind("kernel", "memcpy", "memset")) == 2
    assert len(small_trace().of_kind("op")) == 1


def test_a_table_with_wrong_columns_is_refused():
    with pytest.raises(TraceFormatError, match="activities table"):
        Trace(pa.table({"x": [1]}), TraceInfo("cupti"))


def test_an_unknown_column_is_refused():
    with pytest.raises(TraceFormatError, match="colour"):
        activities_table({"colour": ["red"]})


def test_a_value_of_the_wrong_type_is_refused():
    with pytest.raises(TraceFormatError, match="do not fit"):
        activities_table([{"kind": "kernel", "start_ns": "soon"}])
