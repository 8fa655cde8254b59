"""A mock is one forward: of several without regions one is taken, or the mock is refused."""

from __future__ import annotations

import pytest

from harness.errors import InputError
from harness.locate import Request, locate
from harness.locate.mock import nearly_repeats, period
from tests.locate_support import (
    MLP,
    OPERATOR,
    each,
    h200_mock,
    kernels,
    made,
    model,
    steps_and_layers,
    trace_of,
)


@pytest.mark.parametrize("between", [[], ["_Z5resetv"]])
def test_of_a_mock_that_repeats_one_repetition_is_taken_and_the_answer_says_so(between):
    mock = trace_of([*OPERATOR, *between] * 3)
    found = locate(trace_of(model(6, 3)), Request(mock=mock))
    assert steps_and_layers(found) == each(3, 6)
    assert {len(one.rows) for one in found.occurrences} == {12}
    assert any("3 times over" in note and "forward" in note for note in found.notes)


def test_a_mock_that_repeats_on_two_streams_that_race_is_taken_once():
    rows = []
    for forward in range(3):
        start = forward * 100_000
        rows += kernels(OPERATOR, start=start)
        rows += kernels(["_Z5side1v", "_Z5side2v"], stream=8, start=start + 900 + 6000 * forward)
    model_rows = kernels(OPERATOR) + kernels(["_Z5side1v", "_Z5side2v"], stream=8, start=4500)
    found = locate(made(model_rows), Request(mock=made(rows)))
    assert [(len(one.rows), one.score) for one in found.occurrences] == [(14, 1.0)]


def test_a_mock_of_forwards_that_differ_is_refused_with_what_to_do():
    mock = trace_of(["_Z4initv", *OPERATOR, *OPERATOR, *OPERATOR])
    with pytest.raises(InputError, match=r"nearly repeats 3 times") as raised:
        locate(trace_of(model(2, 2)), Request(mock=mock))
    assert "region named forward" in raised.value.fix


def test_of_forwards_in_regions_the_last_is_taken_even_if_it_repeats_within_itself():
    regions = [{"id": 1, "name": "forward"}, {"id": 2, "name": "forward"}]
    twice = ["_Z1av", "_Z1bv"] * 2
    rows = [{**row, "region": 1} for row in kernels(["_Z4initv", *twice])]
    rows += [{**row, "region": 2} for row in kernels(twice, start=50_000)]
    found = locate(trace_of([*MLP, *twice, *MLP]), Request(mock=made(rows, regions)))
    assert [len(one.rows) for one in found.occurrences] == [4]
    assert not any("times over" in note for note in found.notes)


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_a_recorded_forward_of_dsa_is_no_repetition(phase):
    names = h200_mock(phase).activities["name"].to_pylist()
    assert period(names) == len(names)
    assert nearly_repeats(names) == 1


@pytest.mark.parametrize(
    ("names", "length"), [("abcabc", 3), ("aaaa", 1), ("abcab", 5), ("abaaba", 3), ("a", 1)]
)
def test_the_period_is_the_shortest_list_that_makes_the_whole(names, length):
    assert period(list(names)) == length


@pytest.mark.parametrize("names", ["nqkqkn", "abcbcbcd", "aaab", "abcd"])
def test_loops_inside_of_one_forward_are_no_forwards(names):
    assert nearly_repeats(list(names)) == 1
