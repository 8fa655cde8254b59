"""Unions of intervals, counted against one nanosecond at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.analyze.intervals import (
    clip,
    covered_before,
    gaps_between,
    intersection,
    intersection_ns,
    merged,
    union_ns,
)

TIME = st.integers(-20, 20)
SOME = st.lists(st.tuples(TIME, TIME), max_size=12)


def columns(intervals):
    pairs = np.array(intervals, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def covered(intervals):
    """Every nanosecond inside at least one interval."""
    return {time for start, end in intervals for time in range(start, end)}


def inside(union):
    return covered(zip(union.starts.tolist(), union.ends.tolist(), strict=True))


@given(SOME)
def test_a_union_covers_what_its_intervals_cover(intervals):
    starts, ends = columns(intervals)
    assert inside(merged(starts, ends)) == covered(intervals)
    assert union_ns(starts, ends) == len(covered(intervals))


@given(SOME)
def test_a_union_is_in_order_and_its_intervals_do_not_touch(intervals):
    union = merged(*columns(intervals))
    assert (union.starts < union.ends).all()
    assert (union.ends[:-1] < union.starts[1:]).all()


@given(SOME)
def test_gaps_are_what_lies_between(intervals):
    union = merged(*columns(intervals))
    busy = covered(intervals)
    idle = set(range(min(busy), max(busy) + 1)) - busy if busy else set()
    assert inside(gaps_between(union)) == idle


@given(SOME, SOME)
def test_an_intersection_is_what_both_cover(first, second):
    unions = merged(*columns(first)), merged(*columns(second))
    both = covered(first) & covered(second)
    assert inside(intersection(*unions)) == both
    assert intersection_ns(*unions) == len(both)


@given(SOME, TIME, TIME)
def test_clipped_intervals_lie_in_the_window(intervals, low, high):
    starts, ends = clip(*columns(intervals), low, high)
    kept = list(zip(starts.tolist(), ends.tolist(), strict=True))
    assert covered(kept) == covered(intervals) & set(range(low, high))
    assert all(low <= start < end <= high for start, end in kept)


@given(SOME, st.lists(TIME, max_size=5))
def test_what_is_covered_before_a_time_is_counted(intervals, times):
    union = merged(*columns(intervals))
    expected = [sum(one < time for one in covered(intervals)) for time in times]
    assert covered_before(union, times).tolist() == expected


def test_the_arrays_that_were_passed_are_not_changed():
    starts, ends = np.array([5, 1, 3]), np.array([6, 2, 3])
    merged(starts, ends)
    assert (starts.tolist(), ends.tolist()) == ([5, 1, 3], [6, 2, 3])


def test_times_of_this_century_in_ns_are_exact():
    now = 1_780_000_000_000_000_000
    assert union_ns([now, now + 2], [now + 3, now + 7]) == 7
    many = now + 10 * np.arange(100)
    assert union_ns(many, many + 4) == 400
