"""The estimator on simulated sample streams: what it says, and how often it is wrong."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.errors import InputError
from harness.measure.diagnosis import diagnose
from harness.measure.estimate import ALLOCATION_SD, estimate, estimate_floor
from harness.measure.sequential import (
    FEWEST_EFFECTIVE,
    FIRST_LOOK,
    Decision,
    Sequential,
    decide,
    spent,
)
from harness.measure.statistics import locations, precision
from tests.simulated import Streams

QUIET, USUAL, LOUD = Streams(noise=0.001), Streams(), Streams(noise=0.02)
BOTH_DRIFT = Streams(common_drift=0.05)
OUTLIERS = Streams(outliers=(0.05, 0.05))
MEMORY = Streams(noise=0.003, memory=0.9)
ONE = Streams(instances=1)
ORDINARY = (QUIET, USUAL, BOTH_DRIFT, OUTLIERS)
EVERY = (*ORDINARY, LOUD, MEMORY, ONE)


def decisions(streams, ratio, tolerance, count):
    """Looks at which the sampling of each stream ended, ``count`` for each."""
    return [
        each.decided(ratio, tolerance, seed + 10_000 * at)
        for at, each in enumerate(streams)
        for seed in range(count)
    ]


def share(looks, decision):
    """Decisions of that kind: number of them, and the 95 % Clopper-Pearson bounds of the share."""
    hits = sum(look.decision is decision for look in looks)
    bounds = stats.binomtest(hits, len(looks)).proportion_ci(method="exact")
    return hits, bounds.low, bounds.high


# tolerance, true ratio, decision, least and most share; counts let the bounds reach them
MOST = [(0.01, 1.0, 0.005), (0.01, 1.005, 0.01), (0.005, 1.0, 0.01)]
LEAST = [(0.01, 1.02, 0.99), (0.01, 1.015, 0.95), (0.005, 1.01, 0.95)]


@pytest.mark.parametrize(("tolerance", "ratio", "most"), MOST)
def test_sides_within_the_tolerance_are_hardly_ever_called_outside(tolerance, ratio, most):
    looks = decisions(EVERY, ratio, tolerance, 150)
    _, _, high = share(looks, Decision.OUTSIDE)
    assert high <= most


@pytest.mark.parametrize(("tolerance", "ratio", "least"), LEAST)
def test_sides_beyond_the_tolerance_are_found(tolerance, ratio, least):
    looks = decisions(ORDINARY, ratio, tolerance, 150)
    _, low, _ = share(looks, Decision.OUTSIDE)
    assert low >= least


def test_a_faster_mock_is_outside_as_well():
    looks = decisions((QUIET, USUAL), 1 / 1.02, 0.01, 50)
    assert share(looks, Decision.OUTSIDE)[0] == len(looks)


@pytest.mark.parametrize("streams", [QUIET, USUAL, OUTLIERS, BOTH_DRIFT])
def test_equal_sides_are_inside_after_few_blocks(streams):
    looks = decisions([streams], 1.0, 0.01, 50)
    assert share(looks, Decision.INSIDE)[0] == 50
    assert np.median([look.blocks for look in looks]) <= 2 * FIRST_LOOK


@pytest.mark.parametrize("streams", [QUIET, USUAL, OUTLIERS, MEMORY, ONE], ids=str)
def test_the_interval_of_the_last_look_holds_the_true_ratio(streams):
    looks = decisions([streams], 1.005, 0.01, 120)
    held = sum(look.interval[0] <= 1.005 <= look.interval[1] for look in looks)
    assert stats.binomtest(held, 120, 0.95, alternative="less").pvalue > 0.01


def test_drift_of_one_side_is_noted_and_nothing_is_decided_while_the_ratio_moves():
    mock, reference = Streams(noise=0.001, drift=0.02, blocks=200).draw(1.0, 1)
    found = diagnose(mock, reference)
    assert found.drift == pytest.approx(0.02, abs=0.002)
    assert any("ratio drifted by +2.0" in note for note in found.notes)
    assert Sequential(0.2, fixed=200).look(mock, reference).decision is Decision.INSIDE
    look = Sequential(0.03, fixed=200).look(mock, reference)
    assert look.decision is Decision.UNDECIDED
    assert "the ratio drifted" in look.reason


def test_drift_common_to_both_sides_leaves_ratio_and_interval_alone():
    calm = estimate(*USUAL.draw(1.0, 5))
    drifting = estimate(*BOTH_DRIFT.draw(1.0, 5))
    assert drifting.ratio == pytest.approx(calm.ratio, rel=1e-9)
    assert drifting.interval() == pytest.approx(calm.interval(), rel=1e-6)
    found = diagnose(*BOTH_DRIFT.draw(1.0, 5))
    assert found.common_drift == pytest.approx(0.05, abs=2e-3)
    assert any("the reference drifted by" in note for note in found.notes)


def test_outliers_are_counted_by_side_and_do_not_move_the_ratio():
    mock, reference = Streams(outliers=(0.05, 0.0), allocation=0).draw(1.0, 3)
    assert estimate(mock, reference).ratio == pytest.approx(1.0, abs=5e-4)
    found = diagnose(mock, reference)
    assert 0.04 < found.slow_mock < 0.06
    assert found.slow_reference < 0.001
    assert found.lopsided
    assert any("mock: " in note and "slow outliers" in note for note in found.notes)
    look = Sequential(0.01, fixed=len(mock)).look(mock, reference)
    assert look.decision is Decision.UNDECIDED
    assert "slow mock" in look.reason


def test_outliers_of_both_sides_are_reported_and_leave_the_decision_alone():
    look = OUTLIERS.decided(1.02, 0.01, 4)
    assert look.decision is Decision.OUTSIDE
    assert look.diagnosis.slow_mock > 0
    assert not look.diagnosis.lopsided


def test_two_levels_of_times_are_seen_and_one_level_is_not():
    mock, reference = (times[:200].copy() for times in USUAL.draw(1.0, 6))
    assert diagnose(mock, reference).levels_mock == 0.0
    mock[np.random.default_rng(1).random(mock.shape) < 0.4] *= 1.05
    found = diagnose(mock, reference)
    assert found.levels_mock == pytest.approx(0.05, abs=0.005)
    assert found.levels_reference == 0.0
    assert any("two levels" in note for note in found.notes)


def test_a_reference_that_differs_from_itself_makes_no_mock_diverge():
    mock, reference = QUIET.draw(1.03, 7)
    look = Sequential(0.01, fixed=100).look(
        mock[:100], reference[:100], (1.012 * reference[:100, 0], reference[:100, 0])
    )
    assert look.decision is Decision.UNDECIDED
    assert "the reference differs from a second instance of itself by +1.20%" in look.reason
    calm = Sequential(0.01, fixed=100).look(
        mock[:100], reference[:100], (reference[:100, 1], reference[:100, 0])
    )
    assert calm.decision is Decision.OUTSIDE


def test_instances_that_differ_widen_the_interval_and_samples_do_not_narrow_it():
    apart = Streams(noise=0.001, allocation=0.01, blocks=2000)
    few, many = (
        [estimate(*(t[:n] for t in apart.draw(1.0, seed))).allocation for seed in range(30)]
        for n in (40, 2000)
    )
    assert np.median(few) > 4 * ALLOCATION_SD
    assert np.median(many) == pytest.approx(np.median(few), rel=0.1)


def test_a_single_instance_still_allows_for_other_allocations():
    mock, reference = Streams(noise=1e-5, allocation=0, instances=1).draw(1.0, 8)
    found = estimate(mock, reference)
    assert found.allocation > 2 * ALLOCATION_SD
    assert estimate_floor(mock, reference).allocation == 0
    look = Sequential(0.001, fixed=50).look(mock[:50], reference[:50])
    assert look.decision is Decision.UNDECIDED
    assert "more instances do" in look.reason


def test_sampling_ends_when_only_allocations_keep_the_question_open():
    look = Streams(noise=2e-4, allocation=0, instances=1).decided(1.01, 0.01, 1)
    assert look.decision is Decision.UNDECIDED
    assert look.hopeless
    assert look.blocks < 400


def test_autocorrelation_makes_samples_count_for_less():
    random = np.random.default_rng(9)
    white = precision(random.standard_normal(1000))
    red = precision(Streams(noise=1, memory=0.9, blocks=1000).draw(1, 1)[0][:, 0])
    assert white.effective > 800
    assert 20 < red.effective < 110
    assert red.correlation == pytest.approx(0.9, abs=0.1)


def test_a_ratio_that_wanders_near_the_edge_decides_nothing_and_far_from_it_does():
    times = np.exp(3e-3 * np.cumsum(np.random.default_rng(2).standard_normal((30, 2)), axis=0))
    look = Sequential(0.01, fixed=30).look(times, np.ones_like(times))
    assert look.decision is Decision.UNDECIDED
    assert look.estimate.effective < FEWEST_EFFECTIVE
    look = Sequential(0.01, fixed=30).look(times**0.02, np.ones_like(times))
    assert look.decision is Decision.INSIDE


def test_the_looks_of_a_run_spend_the_error_once():
    assert sum(map(spent, range(1, 10_000))) == pytest.approx(0.05, rel=1e-3)
    question, at = Sequential(0.01), []
    mock, reference = LOUD.draw(1.01, 1)
    for blocks in range(1, 200):
        if question.due(blocks):
            question.look(mock[:blocks], reference[:blocks])
            at.append(blocks)
    assert at == [20, 28, 40, 56, 79, 111, 156]


def test_the_location_ignores_a_tenth_of_wild_samples_and_uses_nearly_all_quiet_ones():
    random = np.random.default_rng(3)
    streams = random.standard_normal((400, 500))
    robust, plain = locations(streams).values.std(), streams.mean(axis=0).std()
    assert robust < 1.05 * plain
    streams[:40] = 1000
    assert abs(locations(streams).values.mean()) < 0.02


def test_samples_that_are_all_equal_give_an_interval_without_noise():
    found = estimate([2.0] * 5, [1.0] * 5)
    assert found.ratio == 2.0
    assert found.noise() == 0.0
    assert math.isfinite(found.interval()[0])


def test_ticks_of_a_coarse_clock_do_not_count_as_certainty():
    coarse = np.where(np.random.default_rng(4).random(100) < 0.3, 1.1, 1.0)
    assert estimate(coarse, np.ones(100)).noise() > 0.001


@pytest.mark.parametrize(
    ("low", "high", "decision"),
    [
        (0.995, 1.009, "inside"),
        (1.011, 1.02, "outside"),
        (0.97, 0.985, "outside"),
        (0.995, 1.011, "undecided"),
    ],
)
def test_an_interval_lies_inside_outside_or_across_the_edge(low, high, decision):
    assert decide(low, high, 0.01) == decision


@pytest.mark.parametrize(
    ("mock", "reference", "message"),
    [
        ([1.0, 1.0], [1.0, 1.0], "2 blocks"),
        ([1.0] * 4, [1.0] * 3, "no pairs"),
        ([1.0, 0.0, 1.0], [1.0] * 3, "zero"),
        ([1.0, float("nan"), 1.0], [1.0] * 3, "not a number"),
        ([[[1.0]]] * 3, [1.0] * 3, "no table"),
    ],
)
def test_samples_that_give_no_interval_are_refused(mock, reference, message):
    with pytest.raises(InputError, match=message):
        estimate(mock, reference)
