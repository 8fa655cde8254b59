"""Without a mock an occurrence is the matching kernels of one run, never of two."""

from __future__ import annotations

from collections import Counter

from harness.locate import Request, locate
from ops.registry import operator
from tests.locate_support import (
    h200,
    kernels,
    made,
    model,
    replays,
    trace_of,
    without_regions,
)

DSA = operator("dsa").kernel_patterns
FLASH = {"attention": "flash"}


def test_the_kernels_of_dsa_are_never_of_two_runs_and_a_partial_run_is_said_to_be_one():
    found = locate(without_regions(h200()), Request(patterns=DSA))
    sizes = Counter(len(one.rows) for one in found.occurrences)
    assert sizes == {5: 58, 1: 1}  # 29 runs of either phase; a kernel that is launched at set-up
    (note,) = [note for note in found.notes if "partial" in note]
    assert note.startswith("1 of 59 occurrences are partial")
    table = h200().activities
    launch = [
        correlation if graph is not None else None
        for graph, correlation in zip(
            table["graph"].to_pylist(), table["correlation"].to_pylist(), strict=True
        )
    ]
    assert all(len({launch[row] for row in one.rows}) == 1 for one in found.occurrences)


def test_the_kernels_of_dsa_in_a_replay_are_those_of_its_region():
    found = locate(without_regions(h200()), Request(patterns=DSA))
    lists = [set(one.rows) for one in found.occurrences]
    for phase in ("decode", "prefill"):
        for rows in replays(phase):
            assert sum(one <= set(rows) for one in lists) == 1
            assert not any(one & set(rows) and not one <= set(rows) for one in lists)


def test_an_operator_of_one_kernel_has_an_occurrence_for_each_launch_of_it():
    found = locate(trace_of(["_Z1xv", "_Z5flashv", "_Z5flashv"]), Request(patterns=FLASH))
    assert [one.rows for one in found.occurrences] == [(1,), (2,)]


def test_occurrences_do_not_cross_replays():
    names = ["_Z6cachesv", "_Z1yv", "_Z5flashv"]
    rows = []
    for number in range(3):
        # the last kernel of a replay and the first of the next stand side by side
        copy = kernels(names if number != 1 else names[1:], start=number * 100_000)
        rows += [{**row, "graph": 1, "correlation": number} for row in copy]
    found = locate(made(rows), Request(patterns={"caches": "caches", **FLASH}))
    assert [one.rows for one in found.occurrences] == [(0, 2), (4,), (5, 7)]
    assert any("1 of 3 occurrences are partial" in note for note in found.notes)


def test_occurrences_do_not_cross_from_eager_launches_to_a_replay():
    eager = kernels(["_Z6cachesv", "_Z1yv"])
    graph = kernels(["_Z5flashv", "_Z1yv"], start=10_000)
    rows = eager + [{**row, "graph": 1, "correlation": 5} for row in graph]
    found = locate(made(rows), Request(patterns={"caches": "caches", **FLASH}))
    assert [one.rows for one in found.occurrences] == [(0,), (2,)]


def test_occurrences_do_not_cross_steps():
    names = ["_Z5flashv", "_Z1xv", "_Z6argmaxv", "_Z6cachesv", "_Z5flashv", "_Z6argmaxv"]
    request = Request(patterns={"caches": "caches", **FLASH}, step_marker="argmax")
    found = locate(trace_of(names), request)
    assert [(one.rows, one.step) for one in found.occurrences] == [((0,), 0), ((3, 4), 1)]


def test_a_stray_kernel_before_the_first_run_does_not_shift_those_that_follow():
    run = ["_Z5cachev", "_Z6logitsv", "_Z1xv", "_Z4topkv", "_Z5flashv", "_Z1yv"]
    patterns = {what: what for what in ("cache", "logits", "topk", "flash")}
    found = locate(trace_of(["_Z6logitsv", "_Z1xv", *run * 3]), Request(patterns=patterns))
    assert [len(one.rows) for one in found.occurrences] == [1, 4, 4, 4]


def test_kernels_in_a_row_that_do_one_thing_are_of_one_run_of_an_operator_of_several():
    run = ["_Z5cachev", "_Z4topkv", "_Z4topkv", "_Z5flashv", "_Z1yv"]
    patterns = {what: what for what in ("cache", "topk", "flash")}
    found = locate(trace_of(run * 3), Request(patterns=patterns))
    assert [len(one.rows) for one in found.occurrences] == [4] * 3
    assert not any("partial" in note for note in found.notes)


def test_attention_goes_by_its_kernels_also_where_regions_are_named_self_attn():
    attention = operator("attention")
    assert attention.submodule == ""
    regions = [{"id": 1, "name": "layers.0.self_attn"}]
    names = model(1, 1, lambda *_: ["_Z4qkvv", "_Z16flash_fwd_kernelv"])
    trace = made([{**row, "region": 1} for row in kernels(names)], regions)
    found = locate(trace, Request(patterns=attention.kernel_patterns))
    assert found.method == "pattern"
    assert [len(one.rows) for one in found.occurrences] == [1]
