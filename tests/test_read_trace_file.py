"""A file of any tool is read by what is in it, or refused with what to pass instead."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from harness.errors import HarnessError, InputError, TraceFormatError
from harness.record.files import read_trace_file
from harness.trace import write_trace
from tests.nsys_files import GRAPH_TRACE, content

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
def test_a_trace_of_torch_profiler_is_read_plain_and_zipped(tmp_path, zipped):
    blob = (DATA / "kineto_h100_excerpt.json").read_bytes()
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


@pytest.mark.parametrize("path", ["/no/such/file", "/"])
def test_what_cannot_be_opened_is_an_error(path):
    with pytest.raises(HarnessError):
        read_trace_file(path)
