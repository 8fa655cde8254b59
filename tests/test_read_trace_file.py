"""A file of any tool is read by what is in it, or refused with what to pass instead."""

from __future__ import annotations

import codecs
import gzip
import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest

from harness.errors import HarnessError, InputError, NoSignalError, TraceFormatError
from harness.record.files import read_trace_file
from harness.trace import Trace, TraceInfo, activities_table, calls_table, write_trace
from tests.nsys_files import GRAPH_NODES, GRAPH_TRACE, TWO_GPUS, changed, content, export

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("name", ["export", "export.json", "export.nsys-rep.parquet"])
def test_an_export_is_known_under_any_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(content(GRAPH_TRACE))
    assert read_trace_file(path).info.source == "nsys"


def test_a_trace_is_read_back(tmp_path):
    path = tmp_path / "export"
    path.write_bytes(content(GRAPH_TRACE))
    trace = read_trace_file(path)
    again = read_trace_file(write_trace(trace, tmp_path / "trace.sqlite"))
    assert again.activities.to_pylist() == trace.activities.to_pylist()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8, codecs.BOM_UTF8 + b"\r\n "])
def test_a_trace_of_torch_profiler_is_read_plain_and_zipped(tmp_path, zipped, mark):
    blob = mark + (DATA / "kineto_h100_excerpt.json").read_bytes()
    path = tmp_path / "any"
    path.write_bytes(gzip.compress(blob) if zipped else blob)
    assert read_trace_file(path).info.source == "kineto"


def test_a_table_of_nsys_stats_is_refused_with_what_to_pass(tmp_path):
    path = shutil.copy(DATA / "nsys_v100_cuda_gpu_kern_sum.csv", tmp_path / "x.sqlite")
    with pytest.raises(InputError, match="nsys-rep"):
        read_trace_file(path)


@pytest.mark.parametrize("name", ["h200_vllm_dsa_decode_raw.csv.gz", "t4_copy_blocked_details.csv"])
def test_a_page_of_nsight_compute_is_refused_with_what_it_is_for(name):
    with pytest.raises(InputError, match="Nsight Compute"):
        read_trace_file(DATA / "ncu" / name)


@pytest.mark.parametrize("blob", [b"", b"hello", b"\x1f\x8b\x08broken", b"\0" * 5000, b"PAR1"])
def test_anything_else_is_an_error_that_says_so(tmp_path, blob):
    path = tmp_path / "x"
    path.write_bytes(blob)
    with pytest.raises(TraceFormatError):
        read_trace_file(path)


@pytest.mark.parametrize("name", ["x.nsys-rep", "x.qdrep", "x.parquet", "x"])
def test_an_empty_file_is_said_to_be_empty_without_asking_nsys(tmp_path, monkeypatch, name):
    monkeypatch.setenv("NSYS", "/no/such/nsys")
    (tmp_path / name).touch()
    with pytest.raises(TraceFormatError, match="is empty"):
        read_trace_file(tmp_path / name)


def processes_of(tmp_path, **info):
    """A file of three processes: 0 with a copy, 1 with three kernels, 2 with an ATen call."""
    rows = [
        {"kind": "memcpy", "name": "HtoD", "process": 0, "correlation": 2},
        {"kind": "kernel", "name": "a", "process": 1, "correlation": 1},
        {"kind": "kernel", "name": "b", "process": 1, "correlation": 2},
        {"kind": "kernel", "name": "c", "process": 1, "correlation": None},
        {"kind": "op", "name": "aten::mm", "process": 2},
    ]
    calls = [
        {"name": "cudaLaunchKernel", "start_ns": 0, "process": 1, "correlation": 1},
        {"name": "cudaMemcpyAsync", "start_ns": 0, "process": 0, "correlation": 2},
    ]
    tables = {"calls": calls_table(calls)}
    trace = Trace(activities_table(rows), TraceInfo("test", **info), **tables)
    return write_trace(trace, tmp_path / "trace.parquet")


@pytest.mark.parametrize(("process", "alone"), [(0, 0), (1, 2), (2, 0)])
def test_of_one_process_only_its_own_activities_without_a_call_are_counted(
    tmp_path, process, alone
):
    path = processes_of(tmp_path, unattributed=2, incomplete=("2 have no call",), notes=("n",))
    info = read_trace_file(path, process=process).info
    assert info.unattributed == alone
    assert info.incomplete == ("2 have no call",)
    assert info.notes[0] == "n"
    assert "of the whole file" in info.notes[1]


def test_where_no_calls_were_recorded_none_is_missed(tmp_path):
    assert read_trace_file(processes_of(tmp_path), process=1).info.unattributed == 0


@pytest.mark.parametrize("name", [TWO_GPUS, GRAPH_NODES])
def test_the_counts_of_all_processes_add_up_to_that_of_the_file(tmp_path, name):
    path = changed(
        export(name, tmp_path),
        "DELETE FROM CUPTI_ACTIVITY_KIND_RUNTIME WHERE correlationId % 3 = 0",
    )
    whole = read_trace_file(path)
    assert whole.info.unattributed
    processes = pc.unique(whole.activities["process"]).to_pylist()
    parts = [read_trace_file(path, process=one).info.unattributed for one in processes]
    assert sum(parts) == whole.info.unattributed


def test_an_unknown_process_is_refused_with_those_that_there_are(tmp_path):
    with pytest.raises(NoSignalError, match=r"one of the processes \[0, 1, 2\]"):
        read_trace_file(processes_of(tmp_path), process=9)


@pytest.mark.parametrize("path", ["/no/such/file", "/"])
def test_what_cannot_be_opened_is_an_error(path):
    with pytest.raises(HarnessError):
        read_trace_file(path)
