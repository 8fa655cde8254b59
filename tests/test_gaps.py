"""Idle time: the figures computed independently of this project, and brute-force counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyze.figures import figures, short_name
from harness.analyze.gap_buckets import LABELS
from harness.analyze.gaps import gaps
from harness.errors import NoSignalError
from harness.trace import Trace, TraceInfo, activities_table, calls_table
from harness.trace.info import MACHINE_NUMBERS
from tests.nsys_files import EXPECTED, GRAPH_NODES, GRAPH_TRACE, TWO_GPUS, WITH_KERNELS
from tests.nsys_support import nsys_trace

WITH_DEVICES = [name for name in WITH_KERNELS if "devices" in EXPECTED[name]]


def activities(rows, **more):
    """A Trace of (kind, device, start, end)."""
    columns = dict(
        zip(("kind", "device", "start_ns", "end_ns"), zip(*rows, strict=True), strict=True)
    )
    columns = {name: list(values) for name, values in columns.items()}
    columns |= {"name": [f"k{number}" for number in range(len(rows))], **more}
    return Trace(activities_table(columns), TraceInfo("test"))


def by_device(devices, figure):
    return {str(device["device"]): device[figure] for device in devices}


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_a_report_has_the_figures_computed_elsewhere(name):
    expected, found = EXPECTED[name], figures(nsys_trace(name))
    assert found["kernels"] == expected["kernels"]
    assert found["total_kernel_ns"] == expected["total_kernel_ns"]
    assert found["wall_ns"] == expected["wall_ns"]
    assert found["idle_union_ns"] == expected["idle_union_global_ns"]
    assert found["gap_naive_ns"] == expected["gap_naive_global_ns"]


@pytest.mark.parametrize("name", WITH_DEVICES)
def test_each_device_and_stream_has_the_figures_computed_elsewhere(name):
    expected, trace = EXPECTED[name], nsys_trace(name)
    devices = figures(trace)["devices"]
    for figure in ("busy_union", "idle_union", "gap_naive"):
        assert by_device(devices, f"{figure}_ns") == expected[f"{figure}_per_device_ns"]
    streams = gaps(trace, naive=True).streams
    assert streams.num_rows == expected["streams"]
    assert sum(streams["gap_naive_ns"].to_pylist()) == expected["gap_naive_per_stream_sum_ns"]


@pytest.mark.parametrize("name", WITH_DEVICES)
def test_the_top_kernels_are_those_found_elsewhere(name):
    top = figures(nsys_trace(name))["top_kernels"]
    found = [[kernel["name"], kernel["instances"], kernel["total_ns"]] for kernel in top]
    assert found == EXPECTED[name]["top5"]


def test_kernels_of_one_short_name_are_several_by_full_name():
    found = figures(nsys_trace(TWO_GPUS), top=1)
    (short,), (full,) = found["top_kernels"], found["top_kernels_by_full_name"]
    assert short["name"] in full["name"]
    assert full["total_ns"] <= short["total_ns"]


def test_whole_graphs_are_busy_time_beside_the_kernels():
    whole = EXPECTED[GRAPH_TRACE]["with_graph_trace_rows"]
    found = gaps(nsys_trace(GRAPH_TRACE).of_kind("kernel", "graph")).overall
    assert found.busy_union_with_copies_ns == whole["busy_ns"]
    assert found.wall_with_copies_ns == whole["wall_ns"]
    assert found.idle_union_with_copies_ns == whole["idle_union_ns"]
    assert found.idle_union_ns == EXPECTED[GRAPH_TRACE]["idle_union_global_ns"]


def test_all_figures_are_whole_numbers():
    found = figures(nsys_trace(TWO_GPUS))
    times = [found, *found["devices"]]
    assert all(type(value) is int for one in times for name, value in one.items() if "_ns" in name)


def test_every_bucket_adds_up_to_the_idle_time():
    found = gaps(nsys_trace(TWO_GPUS))
    for idle in (found.overall, *found.devices):
        rows = [row for row in found.buckets.to_pylist() if row["device"] == idle.device]
        assert [row["gap"] for row in rows] == list(LABELS)
        assert sum(row["idle_ns"] for row in rows) == idle.idle_union_ns
        assert sum(row["share_of_idle_union"] for row in rows) == pytest.approx(1)


def test_the_longest_gap_of_a_model_is_described():
    row = gaps(nsys_trace(GRAPH_NODES), largest=3).large.to_pylist()[1]
    assert row["length_ns"] == 423280481
    assert row["kernel_after"].startswith("nvjet_sm90_tst_192x192")
    assert row["call_before"] == "cudaLaunchKernel"
    assert row["calls_during"][:2] == [
        {"name": "cudaHostAlloc", "calls": 1, "ns": 13760584},
        {"name": "cudaMalloc", "calls": 16, "ns": 1630627},
    ]


def test_a_gap_on_the_edge_of_a_bucket_is_in_the_longer_one():
    trace = activities([("kernel", 0, 0, 10), ("kernel", 0, 5010, 5020), ("kernel", 0, 5020, 5021)])
    rows = {row["gap"]: row["gaps"] for row in gaps(trace).buckets.to_pylist()}
    assert (rows["1-5 us"], rows["5-10 us"]) == (0, 1)


def test_copies_are_idle_for_kernels_and_busy_beside_them():
    trace = activities([("kernel", 0, 0, 10), ("memcpy", 0, 5, 30), ("kernel", 0, 40, 50)])
    found = gaps(trace)
    assert (found.overall.idle_union_ns, found.overall.idle_union_with_copies_ns) == (30, 10)
    assert found.large["copies_ns"].to_pylist() == [20]


def test_the_naive_gap_counts_time_in_which_a_longer_kernel_ran():
    rows = [("kernel", 0, 0, 100), ("kernel", 0, 10, 20), ("kernel", 0, 50, 60)]
    found = gaps(activities(rows), naive=True).overall
    assert (found.idle_union_ns, found.gap_naive_ns) == (0, 30)
    assert gaps(activities(rows)).overall.gap_naive_ns is None


def test_the_kernels_around_a_gap_are_the_last_to_end_and_the_first_to_start():
    rows = [("kernel", 0, 0, 100), ("kernel", 0, 10, 20), ("kernel", 0, 150, 160)]
    (row,) = gaps(activities(rows)).large.to_pylist()
    assert (row["kernel_before"], row["kernel_after"]) == ("k0", "k2")
    assert row["call_before"] is row["call_after"] is None
    assert row["calls_during"] == []


def test_calls_during_a_gap_are_of_the_process_whose_kernel_ends_it():
    rows = [("kernel", 0, 0, 10), ("kernel", 0, 100, 110)]
    names = ["before", "across", "inside", "other process", "after"]
    calls = calls_table(
        {
            "name": names,
            "start_ns": [0, 5, 50, 60, 100],
            "end_ns": [10, 200, 70, 80, 101],
            "process": [1, 1, 1, 2, 1],
        }
    )
    trace = activities(rows, process=[2, 1])
    trace = Trace(trace.activities, TraceInfo("test", notes=(MACHINE_NUMBERS,)), calls=calls)
    (row,) = gaps(trace).large.to_pylist()
    assert (row["call_before"], row["call_after"]) == ("before", "after")
    assert [(one["name"], one["ns"]) for one in row["calls_during"]] == [
        ("across", 90),
        ("inside", 20),
    ]


def test_a_device_without_a_number_is_one_of_its_own():
    trace = activities([("kernel", None, 0, 10), ("kernel", 1, 20, 30)])
    assert [idle.device for idle in gaps(trace).devices] == [1, None]


def test_a_kernel_without_a_name_is_busy_too():
    trace = activities([("kernel", 0, 0, 10), ("kernel", 0, 10, 20)], name=["a", None])
    assert gaps(trace).overall.busy_union_ns == 20
    assert [row["name"] for row in figures(trace)["top_kernels"]] == ["", "a"]


def test_one_kernel_is_never_idle():
    found = gaps(activities([("kernel", 0, 5, 9)]), naive=True)
    assert (found.overall.idle_union_ns, found.overall.gap_naive_ns) == (0, 0)
    assert found.large.num_rows == 0


@pytest.mark.parametrize("rows", [[("memcpy", 0, 0, 5)], [("kernel", 0, None, None)]])
def test_without_kernels_that_have_times_nothing_is_said(rows):
    with pytest.raises(NoSignalError, match="no kernel"):
        gaps(activities(rows))


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("_Z1fv", "f"),
        (
            "void at::native::elementwise_kernel<128, 4, Op<int>>(int, Op<int>)",
            "elementwise_kernel",
        ),
        ("nvjet_sm90_tst_176x128_64x5_1x2_h_bz_TNN", "nvjet_sm90_tst_176x128_64x5_1x2_h_bz_TNN"),
    ],
)
def test_a_short_name_is_without_namespaces_templates_and_parameters(name, short):
    assert short_name(name) == short


KIND = st.sampled_from(["kernel", "memcpy", "graph"])
SPAN = st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda pair: (pair[0], sum(pair)))
ROWS = st.lists(st.tuples(KIND, st.integers(0, 1), SPAN), min_size=1, max_size=12).map(
    lambda rows: [("kernel", 0, 10, 12), *((kind, device, *span) for kind, device, span in rows)]
)


def idle_count(rows):
    """Nanoseconds between the first start and the last end in which nothing runs."""
    busy = {time for *_, start, end in rows for time in range(start, end)}
    return max(end for *_, end in rows) - min(start for *_, start, _ in rows) - len(busy)


@given(ROWS)
def test_idle_time_is_what_counting_nanoseconds_gives(rows):
    found = gaps(activities(rows))
    kernels = [row for row in rows if row[0] == "kernel"]
    assert found.overall.idle_union_ns == idle_count(kernels)
    assert found.overall.idle_union_with_copies_ns == idle_count(rows)
    for idle in found.devices:
        mine = [row for row in rows if row[1] == idle.device]
        assert idle.idle_union_with_copies_ns == idle_count(mine)
        assert idle.idle_union_ns == idle_count([row for row in mine if row[0] == "kernel"])
