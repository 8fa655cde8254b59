"""Order, fusion, changes, data flow and lists: what only looks like a difference, or like none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from harness.align.changes import region_names
from harness.align.checks import lists
from harness.align.checks.dataflow import data_flow
from harness.align.checks.fusion import fusion
from harness.align.checks.order import order
from harness.align.durations import device_times, spans_ns
from harness.align.model import Status
from harness.align.streams import pair_streams
from harness.names import identity_keys
from harness.record.dataflow import Flow
from harness.trace.schema import OUTSIDE_NAME
from tests.check_support import Launch, forwards, in_regions, observed, sequence
from tests.test_checks import GEMM, TOPK, observation, side

A = [f"kernel_{at}" for at in range(12)]
NORM = ["pow_tensor_scalar_kernel", "MeanOps", "rsqrt_kernel_cuda"]
FUSED = "rms_norm_kernel"
REDUCE = "_ZN8cublasLt19splitKreduce_kernelIiEEvv"


def two_places(late_ns: int, **second: int) -> list[Launch]:
    """The same 12 kernels twice, on streams of one id, the second set beginning later."""
    first, other = sequence(A, 9_000), sequence(A, 9_000, **second)
    for launch in other:
        launch["start_ns"] += late_ns
        launch["end_ns"] += late_ns
    return sorted([*first, *other], key=lambda one: one["start_ns"])


@pytest.mark.parametrize("place", ["device", "process", "context"])
def test_streams_of_one_id_on_two_devices_processes_or_contexts_are_two(place):
    mock, reference = two_places(3_000, **{place: 1}), two_places(14_000, **{place: 1})
    seen = observed(forwards(mock), forwards(reference))
    assert order(seen).status is Status.PASS
    assert order(seen).reason == "the same sequence on 2 streams"
    assert fusion(seen).status is Status.PASS


def test_rows_of_interleaved_streams_lead_back_to_the_trace():
    (forward,) = forwards(two_places(14_000, device=1))
    keys = identity_keys(forward)
    for pair in pair_streams(forward, keys, forward, keys):
        assert [keys[row] for row in pair.mock_rows] == list(pair.mock) == A
        one, other = pair.matched_columns()
        assert list(zip(one.tolist(), other.tolist(), strict=True)) == list(pair.matched_rows())


def test_time_saved_by_streams_is_counted_on_each_device():
    (forward,) = forwards(two_places(0, device=1))
    times = device_times(forward)
    assert times is not None
    assert (times["parallel_ns"], times["busy_ns"]) == (0, 12 * 9_000)


def test_a_duration_without_a_start_is_not_known():
    launches = sequence(["a", "b"])
    launches[0]["start_ns"] = None
    spans = spans_ns(forwards(launches)[0])
    assert str(spans.tolist()) == "[nan, 10000.0]"


def layers(count: int, names: list[str], region: str) -> list[tuple[str, str]]:
    return [(name, region.format(at)) for at in range(count) for name in names]


def traced(launches: list[tuple[str, str]]):
    return in_regions(sequence([one for one, _ in launches]), [region for _, region in launches])


def test_the_same_edit_in_layers_that_are_regions_of_their_own_is_one_change():
    whole, short = A, A[:4] + A[5:]
    seen = observed(
        [traced(layers(61, short, "model.layers.{}.self_attn"))],
        [traced(layers(61, whole, "model.layers.{}.self_attn"))],
    )
    (change,) = seen.changes
    assert (change.times, change.region) == (61, "model.layers.*.self_attn")
    assert order(seen).details == (change.line(),)


def test_edits_in_submodules_whose_names_end_in_a_number_stay_apart():
    whole = [("a", "mlp.fc1"), ("b", "mlp.fc1"), ("c", "mlp.fc1"),
             ("a", "mlp.fc2"), ("b", "mlp.fc2"), ("c", "mlp.fc2")]  # fmt: skip
    seen = observed([traced([one for one in whole if one[0] != "b"])], [traced(whole)])
    assert [change.region for change in seen.changes] == ["mlp.fc1", "mlp.fc2"]


def test_a_change_in_one_layer_alone_keeps_its_number():
    whole = layers(3, A, "model.layers.{}.self_attn")
    seen = observed([traced(whole[:16] + whole[17:])], [traced(whole)])
    assert [change.region for change in seen.changes] == ["model.layers.1.self_attn"]


def test_regions_of_launches_are_named_also_outside_of_all():
    launches = [{**one, "region": region} for one, region in
                zip(sequence(["a", "b", "c"]), (1, 0, None), strict=True)]  # fmt: skip
    assert region_names(forwards(launches)[0]) == ["forward", OUTSIDE_NAME, ""]


def beside(mock: list[str], reference: list[str], ours: str = "norm", theirs: str = "norm"):
    """Both between the same neighbours, in regions of these names."""
    made = []
    for names, region in ((mock, ours), (reference, theirs)):
        whole = ["before", *names, "after"]
        made.append([in_regions(sequence(whole), [region] * len(whole))])
    return fusion(observed(*made))


def test_an_unfused_norm_is_found_where_the_regions_only_end_alike():
    result = beside(NORM, [FUSED], "mock.norm", "model.layers.0.norm")
    assert result.status is Status.FAIL
    assert "more kernels for the same work in 1 place: 30.00 us" in result.reason
    assert result.data["fused"][0]["job"] == "norm"
    assert beside(NORM, [FUSED], "mock.norm", "model.layers.0.mlp").status is Status.PASS


def test_a_gemm_against_split_k_and_its_reduction_is_one_job():
    result = beside(["nvjet_sm90_tst_64x8_x"], ["nvjet_sm90_tst_128x8_splitK", REDUCE])
    assert result.data["fused"][0]["job"] == "GEMM"


def test_lists_that_have_nothing_in_common_are_no_fusion():
    ours, theirs = [f"x{at}" for at in range(12)], [f"y{at}" for at in range(14)]
    assert beside(ours, theirs).status is Status.PASS


def test_a_copy_beside_many_launches_is_no_fusion():
    copy = {"kind": "memcpy", "name": "DtoD", "bytes": 8}
    one = sequence(["before", "", "after"])
    one[1] |= copy
    many = sequence(["before", *[f"x{at}" for at in range(16)], "after"])
    assert fusion(observed(forwards(one), forwards(many))).status is Status.PASS


def test_another_tile_beside_an_unrelated_extra_is_no_fusion():
    tiles = ["nvjet_sm90_tst_64x8_x", "nvjet_sm90_tst_128x8_x"]
    assert beside([tiles[0]], [tiles[1], "unrelated"]).status is Status.PASS


def test_one_unknown_kernel_against_several_is_told_without_a_claim():
    result = beside(["one"], ["some", "others"])
    assert result.status is Status.FAIL
    assert result.reason.startswith("several launches stand where the other side has one in 1")
    assert "same work" not in result.reason
    assert "10.00 us in the mock, 20.00 us in the reference" in result.reason


def test_two_unknown_kernels_against_three_are_no_fusion():
    assert beside(["one", "two"], ["some", "other", "kernels"]).status is Status.PASS


def test_data_flow_of_which_nothing_was_seen_is_skipped():
    nothing = {"flows": ()}
    seen = observation(mock=side("mock", GEMM, TOPK, **nothing),
                       reference=side("reference", GEMM, TOPK, **nothing))  # fmt: skip
    result = data_flow(seen)
    assert result.status is Status.SKIPPED
    assert "no tensor was seen" in result.reason


def test_data_flow_that_only_one_side_shows_fails():
    flow = (Flow("norm", 0, {}),)
    seen = observation(mock=side("mock", GEMM, TOPK, flows=()),
                       reference=side("reference", GEMM, TOPK, flows=flow))  # fmt: skip
    assert data_flow(seen).status is Status.FAIL


class Counted(list[str]):
    """A list that counts how often it was gone through."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return super().__iter__()


def test_a_list_is_gone_through_once_however_many_names_are_missing():
    other = Counted(["a", "b", "b"])
    assert lists._launches(Counter(["a", "b", "c"]), other) == (
        "3 launches (2 more of a kernel that both have)"
    )
    assert other.passes == 1
