"""nsys stats tables of every release get one set of columns in ns and bytes."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError, InputError, NoSignalError, TraceFormatError
from harness.record.files.nsys.headings import Heading, heading
from harness.record.files.nsys.stats_csv import read_nsys_stats

DATA = Path(__file__).parent / "data"

OLD_KERNELS = """Time(%),Total Time (ns),Instances,Average,Minimum,Maximum,Name
75.0,300,2,150.0,100,200,"void f<int, 2>(int)"
25.0,100,1,100.0,100,100,g
"""
OLD_TRACE = """Start(sec),Duration(nsec),CorrId,GrdX,GrdY,GrdZ,BlkX,BlkY,BlkZ,Reg/Trd,StcSMem(B),\
DymSMem(B),Bytes(B),Thru(MB/s),SrcMemKd,DstMemKd,Device,Ctx,Strm,Name
0.5,2272,21,2,2,2,8,8,8,16,0,48,,,,,V100 (0),1,13,"f(int, int)"
"""
PRINTED = """
Generating SQLite file report1.sqlite from report1.nsys-rep
Processing [report1.sqlite] with [/opt/reports/cuda_gpu_kern_sum.py]...

 ** CUDA GPU Kernel Summary (cuda_gpu_kern_sum):

Time (%),Total Time (us),Instances,Avg (us),Med (us),Min (us),Max (us),StdDev (us),Name
100.0,1.5,2,0.75,0.75,0.5,1.0,0.35,k

 ** CUDA GPU MemOps Summary (by Size) (cuda_gpu_mem_size_sum):

Total (MB),Count,Avg (MB),Med (MB),Min (MB),Max (MB),StdDev (MB),Operation
2.000,1,2.000,2.000,2.000,2.000,0.000,[CUDA memcpy Host-to-Device]
"""


def written(tmp_path, text, name="x.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "report", "rows"),
    [
        ("nsys_h200_cuda_gpu_kern_sum.csv", "cuda_gpu_kern_sum", 70),
        ("nsys_h200_cuda_api_sum.csv", "cuda_api_sum", 44),
        ("nsys_v100_cuda_gpu_trace.csv", "cuda_gpu_trace", 1),
        ("nsys_v100_cuda_api_sum.csv", "cuda_api_sum", 4),
    ],
)
def test_nvidias_tables_keep_every_row_and_figure(name, report, rows):
    (found,) = read_nsys_stats(DATA / name)
    assert (found.report, found.table.num_rows) == (report, rows)
    with (DATA / name).open() as file:
        theirs = list(csv.DictReader(file))
    assert found.table["name"].to_pylist() == [row["Name"] for row in theirs]
    if "Total Time (ns)" in theirs[0]:
        wanted = [int(row["Total Time (ns)"]) for row in theirs]
        assert found.table["total_ns"].to_pylist() == wanted
        assert found.table["stddev_ns"].to_pylist() == [float(r["StdDev (ns)"]) for r in theirs]


def test_the_report_is_told_by_its_headings_where_the_file_is_called_otherwise(tmp_path):
    text = (DATA / "nsys_h200_cuda_gpu_kern_sum.csv").read_text()
    assert read_nsys_stats(written(tmp_path, text))[0].report == "cuda_gpu_kern_sum"


def test_headings_before_2022_mean_ns_where_they_say_nothing(tmp_path):
    (found,) = read_nsys_stats(written(tmp_path, OLD_KERNELS, "report1_gpukernsum.csv"))
    assert found.report == "cuda_gpu_kern_sum"
    assert found.table.to_pylist()[0] == {
        "time_pct": 75.0,
        "total_ns": 300,
        "count": 2,
        "avg_ns": 150.0,
        "min_ns": 100,
        "max_ns": 200,
        "name": "void f<int, 2>(int)",
    }


def test_an_old_trace_in_seconds_becomes_ns_and_keeps_unknown_columns(tmp_path):
    (found,) = read_nsys_stats(written(tmp_path, OLD_TRACE, "report1_gputrace.csv"))
    row = found.table.to_pylist()[0]
    assert found.report == "cuda_gpu_trace"
    assert (row["start_ns"], row["duration_ns"]) == (0.5e9, 2272)
    assert (row["grid_x"], row["shared_dynamic_bytes"], row["bytes"]) == (2, 48, None)
    assert row["Thru(MB/s)"] is None
    assert (row["device"], row["stream"]) == ("V100 (0)", 13)


def test_several_reports_in_one_output_are_kept_apart(tmp_path):
    kernels, sizes = read_nsys_stats(written(tmp_path, PRINTED))
    assert (kernels.report, sizes.report) == ("cuda_gpu_kern_sum", "cuda_gpu_mem_size_sum")
    assert kernels.table["total_ns"].to_pylist() == [1500.0]
    assert sizes.table.to_pylist()[0]["total_bytes"] == 2e6
    assert sizes.table.to_pylist()[0]["name"] == "[CUDA memcpy Host-to-Device]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Time(%)", Heading("time_pct")),
        ("Time (%)", Heading("time_pct")),
        ("Total Time (ms)", Heading("total_ns", 1e6)),
        ("Duration(nsec)", Heading("duration_ns")),
        ("Start:ts_ns", Heading("start_ns")),
        ("Bytes:mem_B", Heading("bytes")),
        ("Throughput (MB/s)", Heading("throughput_bytes_per_s", 1e6)),
        ("Throughput (MBps)", Heading("throughput_bytes_per_s", 1e6)),
        ("StcSMem (MB)", Heading("shared_static_bytes", 1e6)),
        ("Avg (KiB)", Heading("avg_bytes", 1024.0)),
        ("Average", Heading("avg_ns")),
        ("Num Calls", Heading("count")),
        ("GreenCtx", Heading("green_context")),
        ("Favourite colour", None),
        ("Total Time (fortnights)", None),
    ],
)
def test_headings_of_all_releases(text, expected):
    assert heading(text) == expected


def test_gzip_is_read_too(tmp_path):
    path = written(tmp_path, gzip.compress(OLD_KERNELS.encode()), "x.csv.gz")
    assert read_nsys_stats(path)[0].table.num_rows == 2


def test_skipped_and_empty_reports_say_so(tmp_path):
    skipped = "SKIPPED: report1.sqlite does not contain CUDA kernel data.\n"
    with pytest.raises(NoSignalError, match="does not contain CUDA kernel data") as raised:
        read_nsys_stats(written(tmp_path, skipped))
    assert raised.value.exit_code == 3
    with pytest.raises(NoSignalError, match="no rows"):
        read_nsys_stats(written(tmp_path, OLD_KERNELS.splitlines()[0] + "\n"))


def test_another_file_and_broken_figures_are_refused(tmp_path):
    with pytest.raises(InputError, match="no CSV of nsys stats"):
        read_nsys_stats(written(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(TraceFormatError, match="'many' in the column count"):
        read_nsys_stats(written(tmp_path, OLD_KERNELS.replace("300,2", "300,many")))
    with pytest.raises(InputError, match="cannot read"):
        read_nsys_stats(tmp_path / "none.csv")


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    base=st.sampled_from([OLD_KERNELS, OLD_TRACE, PRINTED]),
    seed=st.integers(0, 2**32),
    noise=st.text(max_size=8),
)
def test_a_damaged_table_gives_rows_or_one_of_our_errors(tmp_path, base, seed, noise):
    chosen, text = random.Random(seed), base
    for _ in range(6):
        at = chosen.randrange(len(text) + 1)
        text = (
            text[:at]
            + chosen.choice((noise, '"', ",", "\n", ""))
            + text[at + chosen.choice((0, 1, 9)) :]
        )
    try:
        found = read_nsys_stats(written(tmp_path, text.encode("utf-8", "surrogatepass")))
    except HarnessError:
        return
    assert sum(one.table.num_rows for one in found) > 0
