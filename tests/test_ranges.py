"""Time per NVTX range, ranges put together by their names."""

from __future__ import annotations

from harness.analyze.ranges import ranges
from harness.trace import Trace, TraceInfo, activities_table, calls_table, regions_table
from tests.nsys_files import GRAPH_NODES
from tests.nsys_support import nsys_trace


def region(number, name, start, end, parent=None, **more):
    row = {"id": number, "name": name, "start_ns": start, "end_ns": end, "parent": parent}
    return row | {"process": 1, "thread": 7} | more


def kernel(start, end, inside, **more):
    row = {"kind": "kernel", "name": "k", "start_ns": start, "end_ns": end, "region": inside}
    return row | {"process": 1} | more


def trace(regions, kernels, calls=()):
    return Trace(
        activities_table(kernels), TraceInfo("test"), regions_table(regions), calls_table(calls)
    )


def by_name(table):
    return {row["range"]: row for row in table.to_pylist()}


LAYERS = [
    region(1, "step", 0, 100),
    region(2, "layer_0_attention", 0, 10, 1),
    region(3, "layer_1_attention", 20, 50, 1),
    region(4, "layer_1_mlp", 50, 60, 1),
]


def test_the_layers_of_a_model_are_one_row():
    row = by_name(ranges(nsys_trace(GRAPH_NODES)))["layers.*.self_attn"]
    assert (row["instances"], row["host_total_ns"]) == (8, 27895915)
    assert (row["host_min_ns"], row["host_median_ns"], row["host_max_ns"]) == (
        2072550,
        3454303.5,
        5005836,
    )


def test_projected_time_is_that_of_nvidias_report():
    row = by_name(ranges(nsys_trace(GRAPH_NODES)))["layers.*.self_attn"]
    assert (row["projected_instances"], row["projected_total_ns"]) == (6, 19435174)
    assert row["projected_median_ns"] == 3345093.5


def test_kernels_of_replays_belong_to_the_layer_that_was_captured():
    # 3 eager decodes and prefills, then a warm-up and 22 replays of each graph of one layer
    row = by_name(ranges(nsys_trace(GRAPH_NODES)))["layers.*.self_attn"]
    assert row["kernels"] > 20 * (65 + 66)
    assert 0.5 < row["share_of_kernel_time"] < 1


def test_a_pattern_is_a_row_and_a_range_may_be_in_several():
    table = by_name(ranges(trace(LAYERS, []), ["layer_*_attention", "layer_1_*", "nothing"]))
    assert {name: row["instances"] for name, row in table.items()} == {
        "layer_*_attention": 2,
        "layer_1_*": 2,
    }


def test_names_that_differ_in_numbers_only_are_put_together():
    assert set(by_name(ranges(trace(LAYERS, [])))) == {"step", "layer_*_attention", "layer_*_mlp"}


def test_a_range_has_the_kernels_of_those_inside_it():
    table = by_name(ranges(trace(LAYERS, [kernel(0, 30, 2), kernel(30, 40, 4), kernel(50, 60, 0)])))
    assert (table["step"]["kernels"], table["step"]["kernel_ns"]) == (2, 40)
    assert table["layer_*_attention"]["kernel_ns"] == 30
    assert table["layer_*_attention"]["share_of_kernel_time"] == 0.6


def test_where_the_source_cannot_tell_there_is_no_figure():
    row = by_name(ranges(trace(LAYERS, [kernel(0, 30, None)])))["step"]
    assert row["kernels"] is row["kernel_ns"] is row["share_of_kernel_time"] is None
    assert row["projected_total_ns"] is None


def test_a_range_that_is_still_open_has_no_host_time():
    row = by_name(ranges(trace([region(1, "a", 0, None)], [])))["a"]
    assert (row["instances"], row["host_total_ns"]) == (0, None)


def test_marks_and_what_is_outside_are_no_ranges():
    regions = [{"id": 0, "name": "<outside>"}, region(1, "now", 5, None, style="Mark")]
    assert ranges(trace(regions, [kernel(0, 30, 0)])).num_rows == 0


def test_nested_ranges_of_one_group_count_a_kernel_once():
    nested = [region(1, "a", 0, 100), region(2, "a", 10, 20, 1)]
    row = by_name(ranges(trace(nested, [kernel(0, 30, 2)])))["a"]
    assert (row["instances"], row["kernels"]) == (2, 1)
