"""Steps of a Trace: by a marker kernel, by ranges, by the repetition of its kernels."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analyze.step_marker import matcher, steps_by_marker
from harness.analyze.step_period import find_period
from harness.analyze.step_phases import phase_of_names, phases_by_time, warm_ups
from harness.analyze.steps import steps
from harness.errors import InputError, NoSignalError
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from tests.nsys_files import GRAPH_NODES
from tests.nsys_support import nsys_trace

T4 = "nsys2025.3_t4_power_iteration_nvtx.sqlite"
MFU = "nsys2026.2_h100_2gpu_mfu_before.sqlite"
NO_PERIOD = "nsys2026.2_h100_2gpu_nvtx.sqlite"


def phases(found):
    return {row["phase"]: row for row in found.phases.to_pylist()}


def serial(names, length=10, pause=1, **columns):
    """A Trace of kernels of these names, one after the other."""
    starts = [number * (length + pause) for number in range(len(names))]
    table = {"kind": ["kernel"] * len(names), "name": list(names), "start_ns": starts}
    table |= {"end_ns": [start + length for start in starts], **columns}
    return Trace(activities_table(table), TraceInfo("test"))


@pytest.mark.parametrize("asked", [{"marker": "argmax%"}, {"region": "step *"}])
def test_the_replays_of_decode_and_prefill_are_the_steady_steps(asked):
    found = phases(steps(nsys_trace(GRAPH_NODES), **asked))
    decode, prefill = found["decode"], found["prefill"]
    assert (decode["steady"], prefill["steady"]) == (20, 20)
    assert (decode["kernels_median"], prefill["kernels_median"]) == (67, 65)
    assert 0.97 < decode["utilisation"] < 0.99
    assert decode["wall_ns_median"] < 0.2 * prefill["wall_ns_median"]


def test_the_three_eager_steps_before_the_replays_are_warm_up():
    rows = steps(nsys_trace(GRAPH_NODES), region="step *").table.to_pylist()
    decode = [row["state"] for row in rows if row["phase"] == "decode"]
    assert decode == ["warm-up"] * 3 + ["steady"] * 20


def test_the_figures_of_a_step_fit_together():
    rows = steps(nsys_trace(GRAPH_NODES), marker="argmax").table.to_pylist()
    assert sum(row["kernels"] for row in rows) == 3930
    assert sum(row["kernel_ns"] for row in rows) == 69954666
    for row in rows:
        assert row["busy_union_ns"] <= min(row["wall_ns"], row["kernel_ns"])
        assert row["utilisation"] == row["busy_union_ns"] / row["wall_ns"]


def test_the_first_step_holds_the_set_up_and_is_cut():
    assert steps(nsys_trace(GRAPH_NODES), marker="argmax").table["state"][0].as_py() == "cut"


def test_the_period_of_the_replays_ends_with_argmax():
    found = steps(nsys_trace(GRAPH_NODES), period=True)
    assert "repeat every 65; a step ends with at::native::reduce_kernel" in found.rule
    assert "ArgMaxOps" in found.rule
    assert phases(found)["prefill"]["steady"] == 20


@pytest.mark.parametrize(("name", "length", "count"), [(T4, 85, 45), (MFU, 119, 36)])
def test_a_loop_is_found_by_its_period(name, length, count):
    found = steps(nsys_trace(name), period=True)
    assert f"every {length};" in found.rule
    assert found.table.num_rows == count
    assert set(found.phases["kernels_median"].to_pylist()) == {length}


def test_kernels_without_a_period_are_not_cut():
    with pytest.raises(NoSignalError, match="86% of kernels repeat"):
        steps(nsys_trace(NO_PERIOD), period=True)


def test_phases_of_a_loop_are_unknown_and_that_is_said():
    found = steps(nsys_trace(T4), period=True)
    assert set(found.table["phase"].to_pylist()) == {"unknown"}
    assert any("cannot be told apart" in note for note in found.notes)


def test_markers_that_follow_each_other_end_one_step():
    marks = np.array([0, 1, 1, 0, 0, 1, 0], np.bool_)
    assert steps_by_marker(marks).tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_what_follows_the_last_marker_is_cut():
    found = steps(serial("abmabmabmab"), marker="m").table
    assert found["kernels"].to_pylist() == [3, 3, 3, 2]
    assert found["state"].to_pylist()[-1] == "cut"


def test_devices_have_steps_of_their_own():
    trace = serial("aambbmm", device=[0, 0, 0, 1, 1, 1, 0])
    found = steps(trace, marker="m").table.to_pylist()
    assert [(row["device"], row["step"], row["kernels"]) for row in found] == [(0, 0, 4), (1, 0, 3)]


def test_a_device_without_the_marker_is_named():
    found = steps(serial("amb", device=[0, 0, 1]), marker="m")
    assert any("device 1" in note for note in found.notes)


def test_kernels_that_overlap_fill_a_step_once():
    columns = {"kind": ["kernel"] * 2, "name": ["a", "m"], "start_ns": [0, 5], "end_ns": [10, 20]}
    trace = Trace(activities_table(columns), TraceInfo("test"))
    (row,) = steps(trace, marker="m").table.to_pylist()
    assert (row["kernel_ns"], row["busy_union_ns"], row["utilisation"]) == (25, 20, 1.0)


def test_of_nested_ranges_the_outermost_is_the_step():
    regions = regions_table(
        [
            {"id": 1, "name": "step 1", "parent": None},
            {"id": 2, "name": "step 1.1", "parent": 1},
            {"id": 3, "name": "step 2", "parent": None},
        ]
    )
    trace = serial("abcd", region=[1, 2, 3, 0])
    found = steps(Trace(trace.activities, trace.info, regions), region="step *").table
    assert found["name"].to_pylist() == ["step 1", "step 2"]
    assert found["kernels"].to_pylist() == [2, 1]


@pytest.mark.parametrize(
    ("asked", "error", "reason"),
    [
        ({}, InputError, "one way"),
        ({"marker": "m", "period": True}, InputError, "one way"),
        ({"marker": "nothing"}, InputError, "no kernel matches"),
        ({"region": "nothing"}, InputError, "no range matches"),
        ({"period": True}, NoSignalError, "too few"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_the_reason(asked, error, reason):
    with pytest.raises(error, match=reason):
        steps(serial("abm"), **asked)


def test_a_trace_without_kernels_has_no_steps():
    trace = Trace(activities_table([]), TraceInfo("test"))
    with pytest.raises(NoSignalError, match="no kernel"):
        steps(trace, marker="m")


ARGMAX = "void at::native::reduce_kernel<512, 1, at::native::ArgMaxOps<float>>(int)"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("argmax", True),
        ("argmax%", True),
        ("ArgMaxOp?", True),
        ("*reduce_kernel*", True),
        ("argmax?", False),
        ("max%", False),
        ("reduce.kernel", False),
    ],
)
def test_a_marker_is_matched_as_documented(pattern, found):
    assert matcher(pattern)(ARGMAX) is found


@pytest.mark.parametrize(
    ("names", "phase"),
    [
        (["layers.0", "decode_replay"], "decode"),
        (["execute_context_1(888_788544)_generation_0(0)"], "prefill"),
        (["execute_context_0(0)_generation_32(32)"], "decode"),
        (["execute_context_1(64)_generation_8(8)"], "mixed"),
        (["ProfilerStep#6"], "unknown"),
        ([], "unknown"),
    ],
)
def test_names_of_ranges_tell_the_phase(names, phase):
    assert phase_of_names(names) == phase


@pytest.mark.parametrize(
    ("kernel_ns", "told"),
    [
        ([900, 100, 101, 99], ["prefill", "decode", "decode", "decode"]),
        ([100, 101, 900, 99], ["decode", "decode", "prefill", "decode"]),
        ([200, 100, 101, 99], ["unknown"] * 4),
        ([100, 10, 1], ["unknown"] * 3),
        ([5], ["unknown"]),
    ],
)
def test_kernel_time_tells_the_phase_only_where_it_is_clear(kernel_ns, told):
    assert phases_by_time(np.array(kernel_ns)) == told


@pytest.mark.parametrize(
    ("wall", "kernels", "count"),
    [
        ([50, 20, 11, 10, 10, 10], [5] * 6, 2),
        ([10, 10, 10, 10], [7, 5, 5, 5], 1),
        ([10, 10, 10, 50], [5] * 4, 0),
        ([50, 10, 10], [5] * 3, None),
    ],
)
def test_warm_up_ends_with_the_first_step_that_is_as_quick_as_usual(wall, kernels, count):
    assert warm_ups(np.array(wall), np.array(kernels)) == count


def test_a_period_of_layers_inside_a_step_is_not_taken_for_the_step():
    # 10 equal layers, then a head of two kernels: the layers repeat sooner, but not everywhere
    step = [0, 1, 2] * 10 + [3, 4]
    codes = np.array(step * 20)
    starts = np.arange(len(codes)) * 10
    found = find_period(codes, starts, starts + 5)
    assert (found.kernels, found.agreement) == (32, 1.0)
    assert found.marker in (3, 4)
