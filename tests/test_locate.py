"""An operator is found in the Trace of a whole model wherever it ran, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError, NoSignalError
from harness.locate import Request, locate
from harness.locate.find import MINIMUM_SCORE
from harness.record.files import read_trace_file
from ops.registry import operator
from tests.kineto_support import B200, H100
from tests.locate_support import (
    MLP,
    OPERATOR,
    h200,
    h200_mock,
    kernels,
    made,
    model,
    replays,
    trace_of,
    without_regions,
)

# recorded: vLLM's DSA layer on an H200, without NVTX


@pytest.mark.parametrize(("phase", "launches"), [("decode", 66), ("prefill", 69)])
def test_dsa_is_found_in_20_of_20_replays_without_nvtx_launch_by_launch(phase, launches):
    found = locate(without_regions(h200()), Request(mock=h200_mock(phase)))
    assert found.method == "alignment"
    by_rows = {one.rows: one for one in found.occurrences}
    for rows in replays(phase):
        one = by_rows[tuple(rows)]
        assert (len(one.rows), one.score, one.missing, one.extra) == (launches, 1.0, 0, 0)
        assert one.step is not None
        assert (one.layer, one.phase, one.state) == (0, phase, "steady")


def test_the_other_phase_is_refused_though_it_shares_most_of_its_kernels():
    decode = locate(without_regions(h200()), Request(mock=h200_mock("decode")))
    wider = locate(without_regions(h200()), Request(mock=h200_mock("decode"), minimum=0.7))
    assert {len(one.rows) for one in decode.occurrences} == {66}
    closest = max(one.score for one in wider.occurrences if one.score < 1)
    assert 0.7 < closest < 0.76 < MINIMUM_SCORE


def test_nvtx_regions_and_the_blind_list_agree_on_the_replays():
    request = Request(mock=h200_mock("decode"), usual_region="*self_attn")
    by_region = locate(h200(), request)
    blind = locate(h200(), replace(request, by="alignment"))
    assert by_region.method == "region"
    assert {one.rows for one in by_region.occurrences} <= {one.rows for one in blind.occurrences}
    assert by_region.refused == 26  # the prefills, which are in regions of the same name


def test_the_patterns_of_dsa_confirm_what_alignment_finds():
    patterns = operator("dsa").kernel_patterns
    mock = h200_mock("decode")
    by_name = locate(without_regions(h200()), Request(mock=mock, patterns=patterns))
    by_list = locate(without_regions(h200()), Request(mock=mock))
    assert by_name.method == "pattern"
    assert [one.rows for one in by_name.occurrences] == [one.rows for one in by_list.occurrences]


def test_the_eager_forwards_are_found_outside_of_the_steps():
    found = locate(without_regions(h200()), Request(mock=h200_mock("decode")))
    outside = [one for one in found.occurrences if one.state == "outside"]
    assert len(outside) == 6  # three eager, three while warming up
    assert all(one.layer is None for one in outside)


# recorded: torch.profiler


def test_attention_of_qwen_is_found_in_24_layers_and_10_times_before_the_recorded_step():
    found = locate(read_trace_file(H100), Request(patterns=operator("attention").kernel_patterns))
    assert len(found.occurrences) == 34
    inside = [one for one in found.occurrences if one.step is not None]
    assert [one.layer for one in inside] == list(range(24))
    assert all(one.state == "outside" for one in found.occurrences[:10])
    assert "ProfilerStep" in found.steps_rule


def test_attention_of_a_b200_model_has_36_layers_in_two_variants_of_18():
    found = locate(read_trace_file(B200), Request(patterns=operator("attention").kernel_patterns))
    assert [one.layer for one in found.occurrences] == list(range(36))
    assert {one.phase for one in found.occurrences} == {"prefill"}
    assert [(one["occurrences"], one["launches"]) for one in found.variants] == [(18, 1)] * 2
    assert all("fmha" in one["names"][0] for one in found.variants)
    names = [one["names"][0] for one in found.variants]
    assert "SlidingOrChunked" in names[0] or "SlidingOrChunked" in names[1]


def test_an_operator_of_another_model_is_not_found_and_the_reason_has_its_best_score():
    found = locate(read_trace_file(B200), Request(mock=h200_mock("decode")))
    assert not found.found
    assert found.best is not None
    assert found.best < 0.2
    assert f"{found.best:.2f}" in found.reason
    assert f"{MINIMUM_SCORE:.2f}" in found.reason


# made: what recordings do not hold


def test_layers_and_steps_are_told_from_a_kernel_that_comes_once_in_a_step():
    found = locate(trace_of(model(5, 4)), Request(mock=trace_of(OPERATOR)))
    places = [(one.step, one.layer) for one in found.occurrences]
    assert places == [(step, layer) for step in range(4) for layer in range(5)]
    assert found.phases["layers_min"].to_pylist() == found.phases["layers_max"].to_pylist() == [5]
    assert len(found.layers) == 5


def test_dense_and_sparse_layers_do_not_confuse_the_steps():
    names = model(6, 4)
    sparse = []
    layer = 0
    for name in names:
        layer += name == OPERATOR[0]
        sparse += ["_Z3moev"] if name == "_Z4actv" and (layer - 1) % 6 >= 2 else [name]
    found = locate(trace_of(sparse), Request(mock=trace_of(OPERATOR)))
    assert [one.step for one in found.occurrences] == [step for step in range(4) for _ in range(6)]


def test_an_operator_that_is_absent_is_not_found():
    found = locate(trace_of(MLP * 20), Request(mock=trace_of(OPERATOR)))
    assert (found.found, found.best) == (False, 0.0)


def test_a_launch_more_or_less_lowers_the_score_and_is_counted():
    def inside(_step, layer):
        changed = list(OPERATOR)
        if layer == 1:
            changed.insert(5, "_Z5extrav")
        if layer == 2:
            del changed[5]
        return changed

    found = locate(trace_of(model(3, 1, inside)), Request(mock=trace_of(OPERATOR)))
    share = round(1 - 1 / len(OPERATOR), 6)
    assert [(one.score, one.missing, one.extra) for one in found.occurrences] == [
        (1.0, 0, 0),
        (share, 0, 1),
        (share, 1, 0),
    ]


def test_matches_that_overlap_are_not_counted_twice():
    pattern = ["_Z1av", "_Z1bv", "_Z1av"]
    found = locate(trace_of(["_Z1av", "_Z1bv"] * 7), Request(mock=trace_of(pattern), minimum=1))
    assert [one.position for one in found.occurrences] == [0, 4, 8]


def test_operators_back_to_back_are_found_one_by_one():
    found = locate(trace_of(OPERATOR * 9), Request(mock=trace_of(OPERATOR)))
    assert [one.position for one in found.occurrences] == [12 * at for at in range(9)]


def test_a_mock_of_one_kernel_is_found_at_each_launch_of_it():
    found = locate(trace_of(model(3, 2)), Request(mock=trace_of(["_Z4downv"])))
    assert [(one.step, one.layer) for one in found.occurrences] == [
        (step, layer) for step in range(2) for layer in range(3)
    ]


def test_streams_of_other_ids_that_race_do_not_hide_the_operator():
    side = ["_Z5side1v", "_Z5side2v", "_Z5side3v"]
    mock = made(kernels(OPERATOR) + kernels(side, stream=8, start=4500, every=2000))
    rows, start = [], 0
    for late in (900, 6900, 12900):  # the other stream runs at another place each time
        rows += kernels(OPERATOR, stream=21, start=start)
        rows += kernels(side[::-1], stream=22, start=start + late)
        start += 40_000
    found = locate(made(rows), Request(mock=mock))
    assert [(one.score, len(one.rows)) for one in found.occurrences] == [(1.0, 15)] * 3


def test_a_region_of_two_streams_that_race_has_the_full_score():
    regions = [{"id": 1, "name": "layers.0.self_attn"}]
    side = ["_Z5side1v", "_Z5side2v", "_Z5side3v"]
    mock = made(kernels(OPERATOR) + kernels(side, stream=8, start=4500))
    rows = kernels(OPERATOR, stream=21) + kernels(side, stream=22, start=16_900)
    raced = made([{**row, "region": 1} for row in rows], regions)
    found = locate(raced, Request(mock=mock, region="*self_attn"))
    assert [(one.score, one.missing, one.extra) for one in found.occurrences] == [(1.0, 0, 0)]


def test_unrelated_work_on_another_stream_costs_nothing():
    noise = kernels(["_Z5noisev"] * 80, stream=9, start=500, every=1000)
    found = locate(made(kernels(model(4, 1)) + noise), Request(mock=trace_of(OPERATOR)))
    assert [one.score for one in found.occurrences] == [1.0] * 4


def test_a_mock_of_two_streams_is_found_in_a_model_that_uses_one():
    side = ["_Z5side1v", "_Z5side2v"]
    mock = made(kernels(OPERATOR) + kernels(side, stream=8, start=4500))
    merged = list(OPERATOR)
    merged[3:3] = ["_Z5side1v"]
    merged[5:5] = ["_Z5side2v"]
    found = locate(trace_of([*MLP, *merged, *MLP]), Request(mock=mock))
    assert len(found.occurrences) == 1
    assert found.occurrences[0].score >= MINIMUM_SCORE


def test_names_of_other_tiles_are_matched_by_family_and_the_answer_says_so():
    def gemm(tile):
        return f"nvjet_sm90_tst_{tile}_64x8_2x1_v_bz_TNT"

    mock = trace_of([gemm("64x8"), gemm("128x8"), "softmax"])
    found = locate(
        trace_of(["a", gemm("256x8"), gemm("192x8"), "softmax", "b"]), Request(mock=mock)
    )
    assert len(found.occurrences) == 1
    assert "family" in found.because


def test_each_device_is_searched_by_itself():
    rows = kernels(model(2, 1))
    both = rows + [{**row, "device": 1, "start_ns": row["start_ns"] + 1} for row in rows]
    found = locate(made(both), Request(mock=trace_of(OPERATOR)))
    assert sorted((one.device, one.position) for one in found.occurrences) == [
        (device, position) for device in (0, 1) for position in (1, 16)
    ]


def test_a_region_of_a_captured_graph_is_an_occurrence_at_every_replay():
    regions = [{"id": 1, "name": "layers.3.self_attn"}, {"id": 0, "name": "<outside>"}]
    rows = []
    for replay in range(3):
        rows += [
            {**row, "region": 1, "launched_in": 0, "graph": 5, "correlation": 100 + replay}
            for row in kernels(OPERATOR, start=replay * 100_000)
        ]
    found = locate(made(rows, regions), Request(usual_region="*self_attn"))
    assert [one.layer for one in found.occurrences] == [3] * 3
    assert [one.step for one in found.occurrences] == [0, 1, 2]
    assert found.best is None


def test_patterns_alone_tell_kernels_and_not_the_whole_operator():
    found = locate(trace_of(model(3, 2)), Request(patterns={"first": "opa", "last": "opl"}))
    assert [len(one.rows) for one in found.occurrences] == [2] * 6
    assert any("without a mock" in note for note in found.notes)


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (Request(), "nothing to locate"),
        (Request(patterns={"bad": "("}), "no regular expression"),
        (Request(by="region"), "no region was named"),
        (Request(region="nothing*"), "no region that matches"),
        (Request(by="pattern"), "no patterns"),
        (Request(by="alignment", patterns={"a": "a"}), "nothing to locate"),
        (Request(mock=trace_of(OPERATOR), minimum=0), "a score of 0"),
        (Request(mock=trace_of(OPERATOR), step_marker="nowhere"), "no kernel matches the marker"),
        (Request(mock=trace_of([f"k{at}" for at in range(256)])), "256 different kernels"),
        (Request(mock=trace_of(OPERATOR), by="pattern", patterns={"x": "zzz"}), "of the mock"),
    ],
)
def test_wrong_questions_are_refused_with_what_to_do(request_, what):
    with pytest.raises(InputError, match=what):
        locate(trace_of(model()), request_)


def test_a_trace_without_launches_is_no_signal():
    with pytest.raises(NoSignalError, match="model's Trace holds no kernel"):
        locate(trace_of([]), Request(mock=trace_of(OPERATOR)))
    with pytest.raises(NoSignalError, match="mock's Trace holds no kernel"):
        locate(trace_of(OPERATOR), Request(mock=trace_of([])))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from([*MLP, "_Z1xv"]), max_size=6), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_every_copy_with_few_edits_is_found_where_it_was_planted(gaps, seed):
    random = np.random.default_rng(seed)
    names, planted = list(gaps[0]), []
    for gap in gaps[1:]:
        copy = list(OPERATOR)
        if random.random() < 0.5:  # never the first or last, so that the place is known
            copy[int(random.integers(1, len(copy) - 1))] = "_Z5otherv"
        planted.append(len(names))
        names += [*copy, *gap]
    found = locate(trace_of(names or ["_Z1xv"]), Request(mock=trace_of(OPERATOR)))
    assert [one.position for one in found.occurrences] == planted
    assert all(one.score >= MINIMUM_SCORE for one in found.occurrences)
