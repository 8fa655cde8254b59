"""How much of the copies and the communication compute hides, by direction, device and range."""

from __future__ import annotations

import pytest

from harness.analyze.overlap import ALL_COPIES, overlap
from harness.analyze.region_groups import number_free
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from tests.analyze_support import nsys_trace

REGIONS = [
    {"id": 0, "name": "<outside>"},
    {"id": 1, "name": "layer_1"},
    {"id": 2, "name": "prefetch_2", "parent": 1},
    {"id": 3, "name": "layer_12"},
]


def activity(kind, name, start, end, *, device=0, region=0):
    row = {"kind": kind, "name": name, "start_ns": start, "end_ns": end}
    return row | {"device": device, "region": region}


def trace(*rows, regions=REGIONS):
    return Trace(activities_table(rows), TraceInfo("test"), regions_table(regions))


MIXED = trace(
    activity("kernel", "gemm", 0, 100, region=1),
    activity("memcpy", "HtoD", 50, 150, region=2),
    activity("memcpy", "DtoH", 150, 160, region=2),
    activity("kernel", "_Z35ncclDevKernel_AllReduce_Sum_f32_RINGv", 150, 250),
    activity("kernel", "gemm", 150, 200, region=3),
)


def row(table, against, scope=None, device=0):
    (found,) = [
        row
        for row in table.to_pylist()
        if (row["range"], row["device"], row["against"]) == (scope, device, against)
    ]
    return found


def test_each_direction_of_copies_is_held_against_compute_by_itself():
    table = overlap(MIXED)
    up, down, both = (row(table, name) for name in ("copy HtoD", "copy DtoH", ALL_COPIES))
    assert (up["against_ns"], up["against_overlapped_ns"]) == (100, 50)
    assert (down["against_ns"], down["against_overlapped_ns"]) == (10, 10)
    assert (both["against_ns"], both["against_overlapped_ns"]) == (110, 60)
    assert both["overlapped_share_of_against"] == pytest.approx(60 / 110)
    assert both["overlapped_share_of_compute"] == pytest.approx(60 / 150)


def test_nccl_kernels_are_communication_and_no_compute():
    found = row(overlap(MIXED), "NCCL kernels")
    assert found["compute_ns"] == 150
    assert (found["against_ns"], found["against_overlapped_ns"]) == (100, 50)


def test_a_copy_launched_in_a_range_is_hidden_by_whatever_the_device_computes():
    found = row(overlap(MIXED), "copy HtoD", "prefetch_*")
    assert (found["compute_ns"], found["overlapped_share_of_compute"]) == (0, None)
    assert (found["against_ns"], found["against_overlapped_ns"]) == (100, 50)


def test_ranges_that_differ_in_numbers_are_one_and_hold_what_is_inside_them():
    found = row(overlap(MIXED), "copy HtoD", "layer_*")
    assert (found["compute_ns"], found["against_ns"]) == (150, 100)


def test_ranges_can_be_asked_for_by_pattern():
    named = {row["range"] for row in overlap(MIXED, ["*_12", "none"]).to_pylist()}
    assert named == {None, "*_12"}


def test_work_of_one_device_hides_nothing_of_another():
    table = overlap(
        trace(
            activity("kernel", "gemm", 0, 100),
            activity("memcpy", "HtoD", 0, 40, device=1),
            activity("memcpy", "HtoD", 60, 80),
        )
    )
    assert row(table, "copy HtoD", device=1)["against_overlapped_ns"] == 0
    assert row(table, "copy HtoD", device=0)["against_overlapped_ns"] == 20
    summed = row(table, "copy HtoD", device=None)
    assert (summed["against_ns"], summed["against_overlapped_ns"]) == (60, 20)


def test_copies_that_run_at_the_same_time_count_once():
    table = overlap(
        trace(activity("memcpy", "HtoD", 0, 40), activity("memcpy", "HtoD", 20, 60)),
    )
    assert row(table, "copy HtoD")["against_ns"] == 60


def test_without_copies_and_nccl_there_are_no_rows():
    assert overlap(trace(activity("kernel", "gemm", 0, 9))).num_rows == 0
    assert overlap(trace()).num_rows == 0


def test_ranges_that_hold_each_other_do_not_hang_it():
    circle = [
        {"id": 1, "name": "a", "parent": 2},
        {"id": 2, "name": "b", "parent": 1},
    ]
    assert overlap(trace(activity("memcpy", "HtoD", 0, 40, region=1), regions=circle)).num_rows


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("layer_12", "layer_*"),
        ("step 3 of 40", "step * of *"),
        ("layers.0.self_attn", "layers.*.self_attn"),
        ("layer3", "layer*"),
        ("h2d_transfer_3", "h2d_transfer_*"),
    ],
)
def test_numbers_are_left_out_of_names_but_digits_in_words_are_not(name, group):
    assert number_free(name) == group


def test_the_two_gpus_of_a_real_run_hide_none_of_their_nccl_time():
    table = overlap(nsys_trace("nsys2026.2_h100_2gpu_mfu_after.sqlite"))
    found = row(table, "NCCL kernels", device=None)
    assert found["against_ns"] == 33_742_101  # ncclDevKernel_SendRecv, in expected.json
    assert found["against_overlapped_ns"] == 0
