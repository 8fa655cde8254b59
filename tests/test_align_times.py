"""Fusion, overlap and kernel latency, on replays of a real layer and on small lists."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from harness.align.checks.fusion import fused, fusion
from harness.align.checks.graph import graph
from harness.align.checks.kernel_latency import kernel_latency
from harness.align.checks.launch import launch
from harness.align.checks.order import order
from harness.align.checks.overlap import overlap
from harness.align.durations import device_times, launch_ns
from harness.align.model import Status
from harness.align.observation import Observation, SideObservation
from harness.measure.model import GraphTopology
from harness.names import identity_keys
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from tests.replays_support import recorded, replays, with_column, without
from tests.test_checks import pair


def side(label: str, *forwards: Trace, **more: object) -> SideObservation:
    trace = recorded(*forwards)
    made = SideObservation(label, label, eager=trace, replay=trace, captured=True)
    return replace(made, **more)


def observed(mock: list[Trace], reference: list[Trace]) -> Observation:
    return Observation(side("mock", *mock), side("reference", *reference))


def slower(forward: Trace, row: int, factor: float) -> Trace:
    ends = forward.activities["end_ns"].to_pylist()
    start = forward.activities["start_ns"].to_pylist()[row]
    ends[row] = start + round((ends[row] - start) * factor)
    return with_column(forward, "end_ns", ends)


def renamed(forward: Trace, row: int, name: str) -> Trace:
    names = forward.activities["name"].to_pylist()
    names[row] = name
    return with_column(forward, "name", names)


def longest(forward: Trace) -> int:
    spans = launch_ns([forward])[0].tolist()
    return spans.index(max(spans))


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_replays_of_one_layer_have_the_same_kernel_latency_however_they_are_split(phase):
    forwards = list(replays(phase))
    dice = random.Random(0)
    for _ in range(20):
        dice.shuffle(forwards)
        result = kernel_latency(observed(forwards[:5], forwards[5:10]))
        assert result.status is Status.PASS, result.details


def test_a_kernel_that_became_slower_is_named_with_its_noise():
    forwards = list(replays("prefill"))
    row = longest(forwards[0])
    mock = [slower(forward, row, 1.3) for forward in forwards[:10]]
    result = kernel_latency(observed(mock, forwards[10:]))
    assert result.status is Status.FAIL
    assert len(result.details) == 1
    assert identity_keys(forwards[0])[row] in result.details[0]
    assert "by its own noise" in result.details[0]


def test_clocks_that_slow_every_kernel_alike_are_left_to_latency():
    forwards = list(replays("prefill"))
    mock = []
    for forward in forwards[:10]:
        starts = forward.activities["start_ns"].to_pylist()
        ends = forward.activities["end_ns"].to_pylist()
        spans = [a + round(1.1 * (b - a)) for a, b in zip(starts, ends, strict=True)]
        mock.append(with_column(forward, "end_ns", spans))
    seen = observed(mock, forwards[10:])
    assert kernel_latency(seen).status is Status.INCONCLUSIVE
    result = kernel_latency(replace(seen, pair=pair(1.1, (1.09, 1.11))))
    assert result.status is Status.PASS
    assert result.data["typical_ratio"] == pytest.approx(1.1, abs=0.02)


def test_two_forwards_say_nothing_about_noise():
    forwards = replays("decode")
    result = kernel_latency(observed([*forwards[:2]], [*forwards[2:4]]))
    assert result.status is Status.SKIPPED
    assert "noise needs" in result.reason


def test_kernel_latency_tells_busy_time_span_and_gaps_of_both_sides():
    forwards = list(replays("decode"))
    data = kernel_latency(observed(forwards[:5], forwards[5:10])).data
    for label in ("mock", "reference"):
        figures = data[label]
        assert figures["busy_us"] <= figures["kernels_us"]
        assert figures["span_us"] == pytest.approx(
            figures["busy_us"] + figures["gaps_us"], rel=0.02
        )


def test_one_kernel_in_place_of_several_is_reported_with_the_time_of_each_side():
    forwards = list(replays("decode"))
    spans = launch_ns(forwards)
    mock = [renamed(without(forward, 11), 10, "fused_norm") for forward in forwards]
    seen = observed(mock, forwards)
    (found,) = fused(seen)
    assert found.mock == ("fused_norm",)
    assert list(found.reference) == identity_keys(forwards[0])[10:12]
    medians = sorted(spans[:, 10])[9:11], sorted(spans[:, 11])[9:11]
    assert found.reference_us == pytest.approx(sum(sum(m) / 2 for m in medians) / 1000)
    result = fusion(seen)
    assert result.status is Status.FAIL
    assert "us in the mock" in result.reason


def test_a_gemm_against_a_split_k_gemm_and_its_reduction_is_one_place():
    gemm, split = "nvjet_sm90_tst_64x8_x", "nvjet_sm90_tst_128x8_splitK"
    reduce = "_ZN8cublasLt19splitKreduce_kernelIiEEvv"
    mock, reference = small(("a", gemm, "b")), small(("a", split, reduce, "b"))
    (found,) = fused(observed([mock], [reference]))
    assert (found.mock, found.reference) == ((gemm,), (split, reduce))


def test_kernels_in_other_regions_are_not_taken_for_one_job():
    one = small(("a", "x", "b"), regions=(2, 2, 2))
    other = small(("a", "y", "z", "b"), regions=(2, 2, 3, 2))
    seen = Observation(nested("mock", one), nested("reference", other))
    assert fusion(seen).status is Status.PASS


def test_a_kernel_that_is_only_missing_is_no_fusion():
    forwards = list(replays("decode"))
    mock = [without(forward, 10) for forward in forwards]
    assert fusion(observed(mock, forwards)).status is Status.PASS


def test_the_family_pair_of_a_replaced_gemm_is_compared_apart_from_equal_names():
    keys = identity_keys(replays("decode")[0])
    row = next(at for at, key in enumerate(keys) if key.startswith("nvjet_sm90_tst_"))
    other = [renamed(each, row, "nvjet_sm90_tst_8x8_x") for each in replays("decode")[:3]]
    result = launch(observed(other, list(replays("decode")[3:6])))
    assert result.status is Status.PASS
    assert result.data["family_pairs"] == 1
    assert "of one family only" in result.reason


def small(names: tuple[str, ...], streams: tuple[int, ...] = (), **more: object) -> Trace:
    """10 us each, one after the other; those of stream 2 beside the one before."""
    rows = []
    clock = 0
    regions = more.get("regions", (1,) * len(names))
    for at, name in enumerate(names):
        stream = streams[at] if streams else 1
        start = rows[-1]["start_ns"] if stream == 2 and more.get("together", True) else clock
        clock = max(clock, start + 10_000)
        rows.append({"kind": "kernel", "name": name, "start_ns": start, "end_ns": start + 10_000,
                     "stream": stream, "region": regions[at]})  # fmt: skip
    return Trace(activities_table(rows), TraceInfo("cupti"), regions_table([]))


def nested(label: str, trace: Trace) -> SideObservation:
    """A side of one forward with the submodules ``norm`` and ``attention`` in it."""
    rows = [
        {"id": 1, "name": "forward"},
        {"id": 2, "name": "norm", "parent": 1},
        {"id": 3, "name": "attention", "parent": 1},
    ]
    whole = replace(trace, regions=regions_table(rows))
    return SideObservation(label, label, eager=whole)


def test_kernels_in_parallel_on_one_side_only_fail_overlap_and_are_named():
    together = small(("a", "b", "c"), (1, 2, 1))
    alone = small(("a", "b", "c"), (1, 2, 1), together=False)
    result = overlap(observed([alone] * 5, [together] * 5))
    assert result.status is Status.FAIL
    assert result.details == ("in parallel in the reference only: a, b",)
    assert device_times(together)["parallel_ns"] == 10_000


def test_the_same_parallel_streams_on_both_sides_pass_overlap():
    together = small(("a", "b", "c"), (1, 2, 1))
    assert overlap(observed([together] * 5, [together] * 5)).status is Status.PASS


def test_the_replays_of_a_layer_on_one_stream_overlap_nothing():
    forwards = list(replays("decode"))
    result = overlap(observed(forwards[:10], forwards[10:]))
    assert result.status is Status.PASS
    assert "0.0%" in result.reason


def test_launches_are_matched_in_the_merged_order_where_streams_are_used_otherwise():
    parallel = small(("a", "b", "c"), (1, 2, 1), together=False)
    one_stream = small(("a", "b", "c"))
    seen = observed([one_stream], [parallel])
    assert order(seen).status is Status.FAIL
    assert "spread over streams" in order(seen).reason
    assert launch(seen).data["not_compared"]["grid"] == [3, 3]


def test_nodes_that_race_are_found_again_by_their_ids():
    one = with_column(small(("a", "b"), (1, 2)), "graph_node", [1, 2])
    turned = small(("b", "a"), (2, 1), together=False)
    other = with_column(slower(turned, 0, 3), "graph_node", [2, 1])
    assert launch_ns([other, one]).tolist() == [[10_000, 30_000], [10_000, 10_000]]


def test_graphs_with_other_copies_or_dependencies_differ_and_say_how():
    kernels = (("kernel", "a"), ("kernel", "b"), ("memset", ""))
    chain = GraphTopology(kernels, ((0, 1), (1, 2)))
    other_chain = GraphTopology(kernels, ((0, 2), (2, 1)))
    copies = GraphTopology((*kernels[:2], ("memcpy", "")), ((0, 1), (1, 2)))
    forward = small(("a", "b"))
    for theirs, expected in (
        (copies, "1 memcpy nodes in the mock, 0 in the reference"),
        (other_chain, "node 2 (memset) waits for node 0 (a) in the reference only"),
    ):
        ours = copies if theirs is copies else chain
        against = chain if theirs is copies else other_chain
        seen = Observation(
            side("mock", forward, recorded_topology=ours),
            side("reference", forward, recorded_topology=against),
        )
        assert expected in graph(seen).details
