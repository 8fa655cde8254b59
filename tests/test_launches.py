"""What launches cost, what waits for what, and what runs inside CUDA graphs."""

from __future__ import annotations

import pytest

from harness.analyze.coverage import coverage
from harness.analyze.hotspots import call_class, hot_spots
from harness.analyze.launches import launches
from harness.trace import Trace, TraceInfo, activities_table, calls_table

LAUNCH, GRAPH = "cudaLaunchKernel_v7000", "cudaGraphLaunch_v10000"


def kernel(start, end, correlation, **more):
    row = {"kind": "kernel", "name": "gemm", "start_ns": start, "end_ns": end, "device": 0}
    return row | {"process": 1, "stream": 7, "correlation": correlation} | more


def call(start, end, correlation=None, name=LAUNCH, process=1):
    row = {"name": name, "start_ns": start, "end_ns": end, "process": process}
    return row | {"thread": 1, "correlation": correlation}


def trace(activities, calls=()):
    return Trace(activities_table(activities), TraceInfo("test"), calls=calls_table(calls))


def test_a_launch_has_its_duration_its_latency_and_its_time_in_the_queue():
    found = launches(trace([kernel(50, 100, 1)], [call(10, 30, 1)]))
    each = found.each
    assert (each.call_ns[0], each.to_start_ns[0], each.queue_ns[0]) == (20, 40, 20)
    (row,) = found.by_api.to_pylist()
    assert (row["name"], row["calls"], row["activities_total"]) == ("cudaLaunchKernel", 1, 1)
    (row,) = found.by_kernel.to_pylist()
    assert (row["name"], row["kernel_median_ns"]) == ("gemm", 50)


def test_a_kernel_that_starts_before_its_call_returns_was_not_queued():
    assert launches(trace([kernel(20, 100, 1)], [call(10, 30, 1)])).each.queue_ns[0] == 0


def test_a_launch_behind_running_work_does_not_come_to_an_idle_stream():
    activities = [kernel(20, 100, 1), kernel(100, 120, 2), kernel(200, 220, 3)]
    found = launches(trace(activities, [call(0, 10, 1), call(11, 20, 2), call(180, 190, 3)]))
    assert found.each.idle.tolist() == [True, False, True]
    assert found.each.in_flight.tolist() == [0, 1, 0]
    assert found.by_api["on_idle_stream_share_of_calls"].to_pylist() == [pytest.approx(2 / 3)]


def test_streams_of_their_own_do_not_wait_for_each_other():
    activities = [kernel(20, 100, 1), kernel(30, 50, 2, stream=8)]
    found = launches(trace(activities, [call(0, 10, 1), call(11, 20, 2)]))
    assert found.each.idle.tolist() == [True, True]


def test_one_correlation_id_of_two_processes_is_two_launches():
    activities = [kernel(20, 30, 1), kernel(90, 95, 1, process=2)]
    found = launches(trace(activities, [call(0, 10, 1), call(80, 82, 1, process=2)]))
    assert found.each.to_start_ns.tolist() == [20, 10]


def test_the_nodes_of_a_graph_are_one_launch_and_no_kernel_of_their_own():
    nodes = [kernel(20, 30, 1, graph_node=5), kernel(30, 40, 1, graph_node=6)]
    found = launches(trace(nodes, [call(0, 10, 1, GRAPH)]))
    (row,) = found.by_api.to_pylist()
    assert (row["activities_total"], row["to_start_median_ns"]) == (2, 20)
    assert found.by_kernel.num_rows == 0


def test_activities_without_a_call_are_counted():
    assert launches(trace([kernel(0, 9, 4), kernel(0, 9, None)], [call(0, 1)])).unmatched == 2
    assert launches(trace([kernel(0, 9, 4)])).unmatched == 1


def test_kernels_are_in_graphs_by_their_node_or_by_the_call_that_launched_them():
    activities = [
        kernel(0, 10, 1),
        kernel(10, 40, 2, graph_node=9),
        kernel(40, 50, 3),
    ]
    calls = [call(0, 1, 1), call(1, 2, 2, GRAPH), call(2, 3, 3, GRAPH)]
    (row,) = coverage(trace(activities, calls)).to_pylist()
    assert (row["kernels"], row["kernels_in_graphs"]) == (3, 2)
    assert (row["kernel_ns"], row["kernel_ns_in_graphs"]) == (50, 40)
    assert row["graph_share_of_kernel_ns"] == 0.8


def test_whole_graphs_are_no_kernels_and_count_by_their_time():
    rows = [kernel(0, 10, 1), kernel(20, 50, 2) | {"kind": "graph", "name": "graph"}]
    (row,) = coverage(trace(rows, [call(0, 1, 1), call(1, 2, 2, GRAPH)])).to_pylist()
    assert (row["kernels"], row["kernels_in_graphs"], row["whole_graphs"]) == (1, 0, 1)
    assert row["graph_share_of_kernel_and_graph_ns"] == 0.75


def test_without_graphs_and_calls_nobody_can_tell_what_was_in_graphs():
    (row,) = coverage(trace([kernel(0, 10, 1)])).to_pylist()
    assert row["kernels_in_graphs"] is None
    assert row["graph_share_of_kernels"] is None


def test_several_devices_have_a_row_each_below_that_of_all():
    rows = [kernel(0, 10, 1), kernel(0, 10, 2, device=1, graph_node=3)]
    table = coverage(trace(rows))
    assert table["device"].to_pylist() == [None, 0, 1]
    assert table["graph_share_of_kernels"].to_pylist() == [0.5, 0, 1]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cudaDeviceSynchronize_v3020", "synchronise"),
        ("cuStreamSynchronize", "synchronise"),
        ("cudaMalloc_v3020", "allocate"),
        ("cudaMallocAsync_v11020", "allocate"),
        ("cudaHostAlloc_v3020", "allocate"),
        ("cuMemFree_v2", "free"),
        ("cudaFreeHost_v3020", "free"),
        ("cudaMemcpy_v3020", "blocking copy"),
        ("cuMemcpyDtoH_v2", "blocking copy"),
        ("cudaMemcpyAsync_v3020", ""),
        ("cudaMemcpy2DAsync_v3020", ""),
        ("cuMemcpyHtoDAsync_v2", ""),
        ("cuModuleLoadDataEx", "load and instantiate"),
        ("cudaGraphInstantiate_v12000", "load and instantiate"),
        (LAUNCH, ""),
    ],
)
def test_calls_that_make_the_host_wait_are_told_by_name(name, kind):
    assert call_class(name) == kind


def test_two_threads_that_wait_at_once_are_one_share_of_the_span():
    calls = [
        call(0, 100, name="cudaStreamSynchronize_v3020"),
        call(50, 150, name="cudaStreamSynchronize_v3020") | {"thread": 2},
        call(190, 200),
    ]
    (row,) = hot_spots(trace([], calls)).to_pylist()
    assert (row["calls"], row["total_ns"], row["union_ns"]) == (2, 200, 150)
    assert row["share_of_host_span"] == 0.75
