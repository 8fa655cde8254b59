"""A step is a forward of the model: what divides occurrences otherwise is not taken for one."""

from __future__ import annotations

import pytest

from harness.locate import Request, locate
from tests.locate_support import (
    MLP,
    OPERATOR,
    each,
    kernels,
    made,
    model,
    steps_and_layers,
    trace_of,
)

MOCK = trace_of(OPERATOR)
OUTSIDE = {"id": 0, "name": "<outside>"}
ONE_STEP = model(4, 1)


def located(names: list[str]):
    return locate(trace_of(names), Request(mock=MOCK))


def in_ranges(*names: str, each_: int = 1, start: int = 0):
    """Steps of four layers, ``each_`` of them in a range of each of these names."""
    rows, regions = [], [OUTSIDE]
    for number, name in enumerate(names, 1):
        regions.append({"id": number, "name": name})
        for _ in range(each_):
            rows += [{**row, "region": number} for row in kernels(ONE_STEP, start=start)]
            start += 2000 * len(ONE_STEP) + 50_000
    return rows, regions


# the kernel that ends a step


@pytest.mark.parametrize("dense", ["_Z4adenv", "_Z9densemlpv"])
def test_a_kernel_of_the_first_layer_alone_ends_no_step(dense):
    names = []
    for _ in range(4):
        names.append("_Z5embedv")
        for layer in range(5):
            names += [*OPERATOR, dense if layer == 0 else "_Z3moev"]
        names.append("_Z6argmaxv")
    found = located(names)
    assert steps_and_layers(found) == each(4, 5)
    assert {one.state for one in found.occurrences} == {"steady"}


def test_a_kernel_of_every_second_layer_ends_no_step():
    names = []
    for _ in range(4):
        for layer in range(6):
            names += [*OPERATOR, *(["_Z3moev", "_Z9gatetopkv"] if layer % 2 else MLP)]
        names.append("_Z6argmaxv")
    assert steps_and_layers(located(names)) == each(4, 6)


def test_a_kernel_that_the_operator_launches_too_ends_steps_only_outside_of_it():
    norm = OPERATOR[3]
    names = []
    for _ in range(4):
        names += [norm, *(OPERATOR + MLP) * 4]
    found = located(names)
    assert steps_and_layers(found) == each(4, 4)
    assert "begins with" in found.steps_rule


def test_a_layer_that_is_refused_in_some_steps_does_not_make_its_kernels_ends():
    def inside(step, layer):
        unlike = layer == 1 and step % 2 == 0
        return [f"_Z5oth{at:02d}v" for at in range(12)] if unlike else OPERATOR

    found = located(model(4, 4, inside))
    expected = [(step, layer) for step in range(4) for layer in range(4 if step % 2 else 3)]
    assert steps_and_layers(found) == expected


def test_a_kernel_of_every_second_step_makes_steps_ambiguous_and_the_answer_says_so():
    names = []
    for step in range(4):
        names += [*model(5, 1), *(["_Z3logv"] if step % 2 else [])]
    found = located(names)
    assert steps_and_layers(found) == each(4, 5)
    (note,) = [note for note in found.notes if note.startswith("ambiguous")]
    assert "5 occurrences by argmax" in note
    assert "10 by log" in note
    assert "--steps" in note


# replays of graphs


def test_replays_of_pieces_of_a_model_are_no_steps():
    rows, start, launch = [], 0, 0
    for _ in range(3):
        rows += kernels(["_Z5embedv"], start=start)
        start += 2000
        for layer in range(4):
            launch += 1
            piece = kernels(OPERATOR + MLP, start=start)
            rows += [{**row, "graph": 10 + layer, "correlation": launch} for row in piece]
            start += 2000 * len(piece)
        rows += kernels(["_Z6argmaxv"], start=start)
        start += 20_000
    found = locate(made(rows), Request(mock=MOCK))
    assert steps_and_layers(found) == each(3, 4)


def test_replays_of_a_whole_model_are_steps_although_a_kernel_divides_them_otherwise():
    rows = []
    for step in range(6):
        start = step * 100_000
        replay = kernels(OPERATOR, start=start)
        rows += [{**row, "graph": 5, "correlation": 100 + step} for row in replay]
        rows += kernels(["_Z3logv"], start=start + 50_000) if step % 2 else []
    found = locate(made(rows), Request(mock=MOCK))
    assert steps_and_layers(found) == each(6, 1)
    assert "replay" in found.steps_rule


# ranges


def test_forward_regions_are_steps():
    found = locate(made(*in_ranges("forward", "forward", "forward")), Request(mock=MOCK))
    assert steps_and_layers(found) == each(3, 4)
    assert "forward" in found.steps_rule


def test_a_profiler_step_of_several_forwards_is_divided():
    steps = [f"ProfilerStep#{number}" for number in range(3)]
    found = locate(made(*in_ranges(*steps, each_=2)), Request(mock=MOCK))
    assert steps_and_layers(found) == each(6, 4)


def test_a_profiler_step_of_one_forward_is_a_step():
    steps = [f"ProfilerStep#{number}" for number in range(3)]
    found = locate(made(*in_ranges(*steps)), Request(mock=MOCK))
    assert steps_and_layers(found) == each(3, 4)
    assert "ProfilerStep" in found.steps_rule


def test_a_range_around_something_else_is_no_step():
    rows = [{**row, "region": 1} for row in kernels(MLP)]
    for step in range(3):
        start = 50_000 + step * 200_000
        rows += [{**row, "region": 0} for row in kernels(ONE_STEP, start=start)]
    regions = [OUTSIDE, {"id": 1, "name": "ProfilerStep#7"}]
    found = locate(made(rows, regions), Request(mock=MOCK))
    assert steps_and_layers(found) == each(3, 4)
    assert any("hold 0 of 12 occurrences" in note for note in found.notes)


# layers in the names of regions


def in_layers(steps: int, layers: int, around: list[str]):
    rows, regions, start = [], [OUTSIDE], 0
    for _ in range(steps):
        for layer in range(layers):
            number = len(regions)
            regions.append({"id": number, "name": f"model.layers.{layer}.self_attn"})
            inside = kernels(OPERATOR, start=start)
            outside = kernels(MLP, start=start + 24_000)
            rows += [{**row, "region": number} for row in inside]
            rows += [{**row, "region": 0} for row in outside]
            start += 32_000
        rows += [{**row, "region": 0} for row in kernels(around, start=start)]
        start += 2000 * len(around)
    return rows, regions


@pytest.mark.parametrize("around", [[], ["_Z6argmaxv", "_Z5embedv"]])
def test_a_layer_number_that_comes_again_begins_another_step(around):
    found = locate(made(*in_layers(3, 4, around)), Request(usual_region="*self_attn"))
    assert found.method == "region"
    assert steps_and_layers(found) == each(3, 4)


# phases


def replays_of(*takes_ns: int, names=lambda _: OPERATOR):
    rows = []
    for step in range(12):
        kind = step % len(takes_ns)
        for at, name in enumerate(names(kind)):
            start = step * 200_000 + at * 5000
            rows.append(
                {
                    **kernels([name], start=start)[0],
                    "end_ns": start + takes_ns[kind],
                    "graph": 5 + kind,
                    "correlation": 100 + step,
                }
            )
    return made(rows)


def test_steps_that_launch_the_same_list_are_not_split_into_prefill_and_decode():
    found = locate(replays_of(1000, 4000), Request(mock=MOCK))
    assert {one.phase for one in found.occurrences} == {"unknown"}
    assert any("(x 4.0) but launch the same list" in note for note in found.notes)


def test_phases_that_kernel_time_alone_tells_are_said_to_be_so():
    trace = replays_of(1000, 4000, names=lambda kind: OPERATOR + MLP * kind)
    found = locate(trace, Request(mock=MOCK))
    assert {one.phase for one in found.occurrences} == {"prefill", "decode"}
    assert any(note.startswith("phases told by kernel time (x 5.0)") for note in found.notes)
