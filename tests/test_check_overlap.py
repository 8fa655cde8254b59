"""Overlap: what jitter does to two equal sides is no difference."""

from __future__ import annotations

import random

import numpy as np
import pytest

from harness.align.checks.overlap import overlap, parallel
from harness.align.model import Status
from harness.trace import Trace, TraceInfo, activities_table
from tests.check_support import forwards, observed, sequence


def jittering(count: int, seed: int, *, serial: bool = False) -> list[Trace]:
    """A second stream of 8 kernels whose start is a race, beside the end of one of 40."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        late = round(max(0, dice.gauss(30_000, 20_000))) + (400_000 if serial else 0)
        main = sequence([f"a{at}" for at in range(40)], 9_000, stream=1)
        other = sequence([f"b{at}" for at in range(8)], 9_000, stream=2)
        for launch in other:
            launch["start_ns"] += 300_000 + late
            launch["end_ns"] += 300_000 + late
        made += forwards([*main, *other])
    return made


@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
def test_equal_sides_never_fail_however_their_streams_race(count):
    results = [
        overlap(observed(jittering(count, seed), jittering(count, 1_000 + seed)))
        for seed in range(60 // (1 + count // 5))
    ]
    assert all(result.status is not Status.FAIL for result in results)


def test_streams_that_ran_one_after_the_other_on_one_side_fail_with_five_forwards():
    failing = [
        overlap(observed(jittering(5, seed, serial=True), jittering(5, 1_000 + seed)))
        for seed in range(20)
    ]
    assert sum(result.status is Status.FAIL for result in failing) >= 15
    assert "in parallel in the reference only: a" in failing[0].details[0]


def test_one_forward_leaves_a_clear_difference_open_and_says_why():
    result = overlap(observed(jittering(1, 0, serial=True), jittering(1, 5)))
    assert result.status is Status.INCONCLUSIVE
    assert "needs 5 forwards, and there are 1" in result.reason


def test_one_forward_fails_where_one_side_has_no_second_stream():
    names = [f"a{at}" for at in range(4)]
    beside = [*sequence(names, stream=1), *sequence(["b"], 40_000, stream=2)]
    alone = sequence([*names, "b"], stream=1)
    result = overlap(observed(forwards(alone), forwards(beside)))
    assert result.status is Status.FAIL


def test_one_stream_on_each_side_passes_with_one_forward():
    one = forwards(sequence(["a", "b"]))
    assert overlap(observed(one, one)).status is Status.PASS


def test_cards_that_work_at_once_are_no_parallel_streams():
    both = [*sequence(["a", "b"], device=0), *sequence(["a", "b"], device=1)]
    assert parallel(forwards(both)[0]) == []
    result = overlap(observed(forwards(both), forwards(both)))
    assert "one stream each" in result.reason


def test_what_ran_beside_another_stream_is_what_comparing_all_with_all_finds():
    dice = random.Random(0)
    for _ in range(100):
        launches = []
        for at in range(30):
            start = dice.randrange(60)
            launches.append({"name": f"k{at}", "start_ns": start, "stream": dice.randrange(3),
                             "end_ns": start + dice.choice([0, 1, 4, 9])})  # fmt: skip
        met = [
            one["name"]
            for one in launches
            if one["end_ns"] > one["start_ns"]
            and any(
                other["start_ns"] < one["end_ns"]
                and other["end_ns"] > one["start_ns"]
                and other["stream"] != one["stream"]
                for other in launches
            )
        ]
        assert parallel(forwards(launches)[0]) == met


def test_half_a_million_launches_are_not_held_against_each_other_one_by_one():
    # all pairs of these are 2.5e11 comparisons: this ends only where they are not made
    starts = np.arange(500_000) * 10
    columns = {"kind": ["kernel"] * len(starts), "name": ["a"] * len(starts), "start_ns": starts,
               "end_ns": starts + 11, "stream": starts // 10 % 2}  # fmt: skip
    forward = Trace(activities_table(columns), TraceInfo("made"))
    assert parallel(forward) == ["a"]
