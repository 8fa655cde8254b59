"""Summaries equal NVIDIA's own, to the last byte of the CSV that nsys stats wrote."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.analyze import api_summary, csv_text, kernel_summary
from harness.analyze.summaries import api_name
from harness.names import display_name
from harness.trace import Trace, TraceInfo, activities_table, calls_table

DATA = Path(__file__).parent / "data"
FIGURES = slice(0, 8)


def nvidia(name):
    """What nsys stats wrote."""
    return (DATA / name).read_text()


def kernels(names, starts, ends):
    columns = {"kind": ["kernel"] * len(starts), "name": names, "start_ns": starts, "end_ns": ends}
    return Trace(activities_table(columns), TraceInfo("test"))


def calls(names, starts, ends):
    table = calls_table({"name": names, "start_ns": starts, "end_ns": ends})
    return Trace(activities_table({}), TraceInfo("test"), calls=table)


def h200(name):
    table = pq.read_table(DATA / "nsys_h200_kernels.parquet")
    return kernels(table[name], table["start_ns"], table["end_ns"])


def cells(text):
    return list(csv.reader(io.StringIO(text)))


def test_the_kernels_of_a_v100_sum_up_as_nvidia_says():
    row = next(csv.DictReader(io.StringIO(nvidia("nsys_v100_cuda_gpu_trace.csv"))))
    start = int(row["Start (ns)"])
    trace = kernels([row["Name"]], [start], [start + int(row["Duration (ns)"])])
    assert csv_text(kernel_summary(trace)) == nvidia("nsys_v100_cuda_gpu_kern_sum.csv")


def test_3930_kernels_of_an_h200_sum_up_as_nvidia_says():
    assert csv_text(kernel_summary(h200("demangled"))) == nvidia("nsys_h200_cuda_gpu_kern_sum.csv")


def test_from_mangled_names_the_figures_are_the_same_and_the_names_readable():
    mine = cells(csv_text(kernel_summary(h200("mangled"))))
    theirs = cells(nvidia("nsys_h200_cuda_gpu_kern_sum.csv"))
    assert [row[FIGURES] for row in mine] == [row[FIGURES] for row in theirs]
    names = [(row[-1], other[-1]) for row, other in zip(mine, theirs, strict=True)]
    assert not [name for name, _ in names if name.startswith("_Z")]
    bare = [[display_name(name, width=40).split("<")[0] for name in pair] for pair in names]
    assert sum(one == other for one, other in bare) > 0.9 * len(bare)


def test_4180_api_calls_of_an_h200_sum_up_as_nvidia_says():
    table = pq.read_table(DATA / "nsys_h200_calls.parquet")
    trace = calls(table["name"], table["start_ns"], table["end_ns"])
    assert csv_text(api_summary(trace)) == nvidia("nsys_h200_cuda_api_sum.csv")


def test_api_calls_of_a_v100_sum_up_as_nvidia_says():
    # from CUPTI_ACTIVITY_KIND_RUNTIME of the same report
    recorded = [
        ("cuCtxSynchronize", 489126000, 489136416),
        ("cuCtxSynchronize", 489140192, 489143358),
        ("cuModuleLoadDataEx", 489146942, 489260047),
        ("cuMemHostAlloc", 489294201, 489312833),
        ("cuLaunchKernel", 589885426, 589923509),
        ("cuCtxSynchronize", 601761282, 601773266),
    ]
    trace = calls(*(list(column) for column in zip(*recorded, strict=True)))
    assert csv_text(api_summary(trace)) == nvidia("nsys_v100_cuda_api_sum.csv")


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("cudaLaunchKernel_v7000", "cudaLaunchKernel"),
        ("cudaLaunchKernel_ptsz_v7000", "cudaLaunchKernel_ptsz"),
        ("cudaGraphLaunch_v10000", "cudaGraphLaunch_v10000"),
        ("cuGetProcAddress_v2", "cuGetProcAddress_v2"),
        ("cuInit", "cuInit"),
    ],
)
def test_only_a_version_of_four_digits_is_left_out(recorded, shown):
    assert api_name(recorded) == shown


def test_an_empty_trace_gives_a_table_without_rows():
    header = nvidia("nsys_v100_cuda_gpu_kern_sum.csv").splitlines(keepends=True)[0]
    assert csv_text(kernel_summary(calls([], [], []))) == header
    assert api_summary(kernels([], [], [])).num_rows == 0


def test_two_manglings_of_one_name_are_one_kernel():
    trace = kernels(["_Z1fv", "f()", "_Z1fv"], [0, 10, 20], [3, 14, 28])
    table = kernel_summary(trace)
    assert table["Instances"].to_pylist() == [3]
    assert table["Med (ns)"].to_pylist() == [4.0]


def test_copies_and_what_has_no_times_are_not_counted():
    columns = {
        "kind": ["kernel", "kernel", "memcpy"],
        "name": ["a", "a", "HtoD"],
        "start_ns": [5, None, 7],
        "end_ns": [9, None, 9],
    }
    table = kernel_summary(Trace(activities_table(columns), TraceInfo("test")))
    assert table["Instances"].to_pylist() == [1]
    assert table["Total Time (ns)"].to_pylist() == [4]


def test_equal_sums_are_in_the_order_of_their_names():
    table = kernel_summary(kernels(["b", "c", "a"], [0, 0, 0], [5, 7, 5]))
    assert table["Name"].to_pylist() == ["c", "a", "b"]


def test_traces_put_together_sum_up_as_one():
    whole = h200("demangled")
    parts = [whole.slice(0, 1000), whole.slice(1000)]
    joined = pa.concat_tables([part.activities for part in parts])
    assert kernel_summary(Trace(joined, whole.info)).equals(kernel_summary(whole))
