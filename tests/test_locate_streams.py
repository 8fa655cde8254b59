"""Copies of an operator that overlap in time are found one by one."""

from __future__ import annotations

import pytest

from harness.locate import Request, locate
from tests.locate_support import OPERATOR, kernels, made, trace_of

SIDE = ["_Z5side1v", "_Z5side2v"]


def two_streams(main: int = 7, side: int = 8, start: int = 0) -> list:
    rows = kernels(OPERATOR, stream=main, start=start)
    return rows + kernels(SIDE, stream=side, start=start + 4500)


@pytest.mark.parametrize("late", [500, 5500])
def test_two_copies_of_an_operator_of_two_streams_are_both_found_whole(late):
    rows = two_streams(21, 22) + two_streams(31, 32, late)
    trace = made(rows)
    found = locate(trace, Request(mock=made(two_streams())))
    assert [(one.score, len(one.rows)) for one in found.occurrences] == [(1.0, 14)] * 2
    streams = trace.activities["stream"].to_pylist()
    used = [{streams[row] for row in one.rows} for one in found.occurrences]
    assert used == [{21, 22}, {31, 32}]


def test_no_launch_belongs_to_two_occurrences_where_one_copy_lacks_its_side():
    rows = two_streams(21, 22) + kernels(OPERATOR, stream=31, start=500)
    found = locate(made(rows), Request(mock=made(two_streams())))
    assert [(one.score, one.missing) for one in found.occurrences] == [(1.0, 0), (0.857143, 2)]


def test_a_list_that_is_left_out_because_another_has_some_of_its_launches_is_counted():
    rows = kernels(OPERATOR[:8])
    rows += kernels(OPERATOR[:8], stream=8, start=50_000)
    rows += kernels(OPERATOR[8:], start=100_000)  # goes on with either
    found = locate(made(rows), Request(mock=trace_of(OPERATOR)))
    assert len(found.occurrences) == 1
    assert any("1 more list" in note for note in found.notes)
