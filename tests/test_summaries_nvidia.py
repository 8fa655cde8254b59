"""Tables of an nsys report, read from its SQLite export, equal those that nsys stats wrote."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from harness.analyze import (
    api_summary,
    csv_text,
    kernel_summary,
    memory_summary,
    range_projection,
    range_summary,
)
from harness.analyze.summaries import memory_operation
from harness.trace import Trace, TraceInfo, activities_table, calls_table, regions_table
from tests.nsys_files import GRAPH_NODES
from tests.nsys_support import nsys_trace

DATA = Path(__file__).parent / "data"


def nvidia(report):
    return (DATA / f"nsys_h200_{report}.csv").read_text()


@pytest.mark.parametrize(
    ("table", "report"),
    [
        (memory_summary, "cuda_gpu_mem_time_sum"),
        (api_summary, "cuda_api_sum"),
        (range_summary, "nvtx_sum"),
        (range_projection, "nvtx_gpu_proj_sum"),
    ],
)
def test_a_table_is_nvidias_to_the_last_byte(table, report):
    assert csv_text(table(nsys_trace(GRAPH_NODES))) == nvidia(report)


def test_the_figures_of_kernels_are_nvidias():
    # names are spelled by another demangler, so only the columns before them are compared
    mine = csv.reader(io.StringIO(csv_text(kernel_summary(nsys_trace(GRAPH_NODES)))))
    theirs = csv.reader(io.StringIO(nvidia("cuda_gpu_kern_sum")))
    assert [row[:-1] for row in mine] == [row[:-1] for row in theirs]


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ("HtoD", "[CUDA memcpy Host-to-Device]"),
        ("PtoP", "[CUDA memcpy Peer-to-Peer]"),
        ("AtoH", "[CUDA memcpy Array-to-Host]"),
        ("unknown", "[CUDA memcpy unknown]"),
        ("memset", "[CUDA memset]"),
    ],
)
def test_operations_on_memory_are_called_as_nsys_calls_them(recorded, shown):
    assert memory_operation(recorded) == shown


def region(number, start, end, **more):
    row = {"id": number, "name": f"r{number}", "start_ns": start, "end_ns": end, "domain": ""}
    return row | {"process": 1, "thread": 7, "style": "PushPop"} | more


def traced(regions, launches=()):
    """A Trace of regions and of launches (call start, process, thread, kernel start, end)."""
    calls = [
        {"name": "cudaLaunchKernel", "start_ns": at, "end_ns": at + 1, "process": process,
         "thread": thread, "correlation": number}
        for number, (at, process, thread, _, _) in enumerate(launches)
    ]  # fmt: skip
    kernels = [
        {"kind": "kernel", "name": "k", "start_ns": start, "end_ns": end, "process": process,
         "correlation": number}
        for number, (_, process, _, start, end) in enumerate(launches)
    ]  # fmt: skip
    return Trace(
        activities_table(kernels), TraceInfo("test"), regions_table(regions), calls_table(calls)
    )


def rows_of(table):
    return {row["Range"]: row for row in table.to_pylist()}


def test_an_open_range_ends_with_the_last_time_of_all():
    table = range_summary(traced([region(1, 0, None), region(2, 10, 30)]))
    assert rows_of(table)[":r1"]["Total Time (ns)"] == 30


def test_marks_are_no_ranges():
    mark = region(1, 5, None, style="Mark")
    assert range_summary(traced([mark])).num_rows == 0


def test_ranges_of_one_name_and_two_styles_are_two():
    trace = traced([region(1, 0, 4, name="a"), region(2, 5, 7, name="a", style="StartEnd")])
    assert range_summary(trace)["Style"].to_pylist() == ["PushPop", "StartEnd"]


def test_a_trace_without_ranges_gives_tables_without_rows():
    assert range_summary(traced([])).num_rows == 0
    assert range_projection(traced([])).num_rows == 0
    assert range_projection(traced([region(1, 0, 9)])).num_rows == 0


def test_a_projection_reaches_from_the_first_kernel_to_the_end_of_the_last():
    trace = traced([region(1, 0, 10)], [(1, 1, 7, 100, 120), (5, 1, 7, 110, 115)])
    row = rows_of(range_projection(trace))[":r1"]
    assert (row["Total Proj Time (ns)"], row["Total Range Time (ns)"]) == (20, 10)
    assert row["Total GPU Ops"] == 2


def test_calls_of_another_thread_or_process_are_not_in_a_range():
    launches = [(1, 1, 7, 100, 120), (2, 1, 8, 130, 140), (3, 2, 7, 150, 160)]
    row = rows_of(range_projection(traced([region(1, 0, 10)], launches)))[":r1"]
    assert row["Total GPU Ops"] == 1


def test_ranges_that_cross_each_other_both_hold_what_lies_in_both():
    crossing = [region(1, 0, 10, style="StartEnd"), region(2, 5, 15, style="StartEnd")]
    found = rows_of(range_projection(traced(crossing, [(7, 1, 7, 100, 120)])))
    assert set(found) == {":r1", ":r2"}


def test_a_range_that_another_thread_ended_is_not_projected():
    trace = traced([region(1, 0, 10, thread=None)], [(1, 1, 7, 100, 120)])
    assert range_projection(trace).num_rows == 0


def test_ranges_that_launch_nothing_are_no_children():
    regions = [region(1, 0, 10), region(2, 1, 3, parent=1), region(3, 4, 6, parent=1)]
    found = rows_of(range_projection(traced(regions, [(5, 1, 7, 100, 120)])))
    assert (found[":r1"]["Avg Num Child"], found[":r3"]["Avg Range Lvl"]) == (1, 1)
    assert ":r2" not in found
