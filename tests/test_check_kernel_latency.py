"""Kernel latency: what clocks, lost times and single slow replays do, and what they do not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from harness.align.checks.kernel_latency import differences, kernel_latency
from harness.align.model import CheckResult, Status
from harness.align.noise import difference
from tests.check_support import Launch, forwards, observed, sequence
from tests.test_checks import pair

NAMES = [f"kernel_{at}" for at in range(12)]


def slowed(factors: dict[int, float]) -> list[Launch]:
    """The launches of `NAMES`, some of which take longer."""
    made = sequence(NAMES)
    for at, factor in factors.items():
        made[at]["end_ns"] = made[at]["start_ns"] + round(10_000 * factor)
    return made


def judged(mock: list[Launch], count: int = 6, **more: object) -> CheckResult:
    """Against the launches as they are."""
    reference = forwards(sequence(NAMES), count, 0.003, seed=1)
    return kernel_latency(observed(forwards(mock, count, 0.003), reference, **more))


@pytest.mark.parametrize("share", [(0, 2, 4, 6, 8, 10), (0, 1, 2), (0, 5), range(9)])
def test_kernels_that_a_lower_clock_slows_beside_others_leave_the_check_open(share):
    result = judged(slowed(dict.fromkeys(share, 1.25)), pair=pair(1.0, (0.999, 1.001)))
    assert result.status is Status.INCONCLUSIVE
    assert "clocks" in result.reason


def test_kernels_that_clocks_slow_by_different_factors_leave_the_check_open():
    factors = {at: 1 + 0.01 * at for at in range(12)}
    result = judged(slowed(factors), pair=pair(1.0, (0.999, 1.001)))
    assert result.status is not Status.FAIL


def test_one_kernel_that_alone_became_slower_fails():
    result = judged(slowed({3: 1.3}))
    assert result.status is Status.FAIL
    assert "kernel_3" in result.details[0]


@pytest.mark.parametrize(("length_ns", "factor", "status"), [
    (10_000, 1.15, Status.PASS), (10_000, 1.30, Status.FAIL),
    (4_000, 1.40, Status.PASS), (4_000, 1.70, Status.FAIL),
])  # fmt: skip
def test_what_another_place_in_memory_does_to_a_kernel_is_no_difference(length_ns, factor, status):
    mock, reference = sequence(NAMES, length_ns), sequence(NAMES, length_ns)
    mock[3]["end_ns"] = mock[3]["start_ns"] + round(length_ns * factor)
    sides = forwards(mock, 20, 0.003), forwards(reference, 20, 0.003, seed=1)
    assert kernel_latency(observed(*sides)).status is status


def test_kernels_that_became_slower_than_any_clock_makes_them_fail():
    assert judged(slowed({3: 2.5, 4: 2.5})).status is Status.FAIL


@pytest.mark.parametrize("count", [1, 2, 6])
def test_all_kernels_three_times_as_long_leave_the_check_open_where_nothing_was_timed(count):
    result = judged(sequence(NAMES, 30_000), count)
    assert result.status is Status.INCONCLUSIVE
    assert "the names are equal and the times are not" in result.reason
    assert result.data["typical_ratio"] == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize(("count", "status"), [(1, Status.SKIPPED), (6, Status.PASS)])
def test_all_kernels_three_times_as_long_are_left_to_a_latency_that_was_timed(count, status):
    timed = pair(3.0, (2.99, 3.01))
    assert judged(sequence(NAMES, 30_000), count, pair=timed).status is status


def test_a_launch_without_times_is_left_out_and_the_others_are_compared():
    launches = slowed(dict.fromkeys(range(6), 3.0))
    launches[11] |= {"start_ns": None, "end_ns": None}
    result = judged(launches)
    assert result.status is Status.FAIL
    assert "1 left out that have no times" in result.reason
    assert result.data["without_times"] == 1


def test_launches_without_any_times_skip_the_check():
    unknown = [{**launch, "start_ns": None, "end_ns": None} for launch in sequence(NAMES)]
    assert judged(unknown).status is Status.SKIPPED


def test_kernels_of_equal_length_that_differ_from_a_slower_list_are_seen():
    result = judged(sequence(NAMES[:11], 30_000) + sequence(NAMES[11:], 10_000))
    assert result.status is Status.FAIL
    assert "kernel_11" in result.details[0]


def test_few_kernels_do_not_tell_a_kernel_from_the_clocks():
    mock, reference = sequence(["a", "b"]), sequence(["a", "b"])
    mock[0]["end_ns"] += 3_000
    sides = forwards(mock, 6, 0.002), forwards(reference, 6, 0.002, seed=1)
    result = kernel_latency(observed(*sides))
    assert result.status is Status.INCONCLUSIVE
    assert "too few" in result.reason


def replays(count: int, seed: int, *, memory: float = 0.0, outlier: bool = False) -> np.ndarray:
    """Durations of 60 kernels in ns, scattering by 1 %; AR(1) with the given memory."""
    dice = np.random.default_rng(seed)
    noise = dice.standard_normal((count, 60))
    for at in range(1, count):
        noise[at] = memory * noise[at - 1] + np.sqrt(1 - memory**2) * noise[at]
    made = 10_000 * np.exp(0.01 * noise)
    if outlier:
        made[dice.integers(count)] *= 1.5 + dice.random(60)
    return made


def outside(mock: np.ndarray, reference: np.ndarray) -> list[int]:
    pairs = [(at, at) for at in range(mock.shape[1])]
    found, _ = differences(mock, reference, pairs, [""] * len(pairs))
    return [at for at, one in enumerate(found) if one.outside]


@pytest.mark.parametrize("memory", [0.0, 0.7])
@pytest.mark.parametrize("outlier", [False, True])
def test_twenty_replays_name_no_kernel_of_equal_sides(memory, outlier):
    named = [
        outside(
            replays(20, seed, memory=memory, outlier=outlier),
            replays(20, 5_000 + seed, memory=memory),
        )
        for seed in range(100)
    ]
    assert not any(named)


@pytest.mark.parametrize("outlier", [False, True])
def test_twenty_replays_find_a_quarter_also_where_one_of_them_was_slow(outlier):
    found = 0
    for seed in range(50):
        mock = replays(20, seed, outlier=outlier)
        mock[:, 7] *= 1.25
        found += outside(mock, replays(20, 5_000 + seed)) == [7]
    assert found >= 48


def test_replays_that_resemble_the_ones_before_widen_the_interval():
    least = np.full(60, 1e-6)
    widths = [
        difference(
            np.log(replays(20, 1, memory=memory)), np.log(replays(20, 2, memory=memory)),
            confidence=0.99, least=(least, least),
        ).half.mean()
        for memory in (0.0, 0.8)
    ]  # fmt: skip
    assert widths[1] > 1.2 * widths[0]


def test_the_interval_of_a_difference_holds_it_as_often_as_it_says():
    dice, held = random.Random(0), 0
    for _ in range(1_000):
        one, other = ([[dice.gauss(0, 1)] for _ in range(20)] for _ in range(2))
        least = np.array([1e-6])
        found = difference(np.array(one), np.array(other), confidence=0.95, least=(least, least))
        held += abs(found.shift[0]) <= found.half[0]
    assert 930 <= held <= 990
