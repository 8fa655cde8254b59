"""The paired ratio and its interval, on simulated sample streams."""

import warnings

import numpy as np
import pytest

from harness.errors import InputError
from harness.measure.statistics import paired_ratio


def stream(seed, pairs=40, noise=0.01, ratio=1.0, drift=0.0):
    """Samples of two sides with common drift, which pairing takes out, and noise of their own."""
    random = np.random.default_rng(seed)
    common = 1 + drift * np.linspace(0, 1, pairs)
    mock = ratio * common * (1 + noise * random.standard_normal(pairs))
    return mock, common * (1 + noise * random.standard_normal(pairs))


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says():
    held = 0
    for seed in range(100):
        _, (low, high) = paired_ratio(*stream(seed, ratio=1.02), seed=seed)
        held += low <= 1.02 <= high
    assert 88 <= held <= 100


def test_drift_common_to_both_sides_does_not_widen_the_interval():
    _, calm = paired_ratio(*stream(5))
    _, drifting = paired_ratio(*stream(5, drift=0.5))
    assert drifting == pytest.approx(calm, rel=1e-9)


def test_a_single_stray_sample_moves_nothing_much():
    mock, reference = stream(7, noise=0.001)
    mock[3] *= 50
    ratio, (low, high) = paired_ratio(mock, reference)
    assert ratio == pytest.approx(1, abs=2e-3)
    assert high - low < 5e-3


def test_the_same_seed_gives_the_same_interval():
    samples = stream(11)
    assert paired_ratio(*samples, seed=3) == paired_ratio(*samples, seed=3)


def test_samples_that_are_all_equal_give_an_interval_of_no_width_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paired_ratio([2.0] * 5, [1.0] * 5) == (2.0, (2.0, 2.0))


def test_the_ratio_lies_inside_its_interval():
    for seed in range(20):
        ratio, (low, high) = paired_ratio(*stream(seed, pairs=21))
        assert low <= ratio <= high


@pytest.mark.parametrize(
    ("mock", "reference", "message"),
    [
        ([1.0, 1.0], [1.0, 1.0], "2 pairs"),
        ([1.0] * 4, [1.0] * 3, "no pairs"),
        ([1.0, 0.0, 1.0], [1.0] * 3, "zero"),
        ([1.0, float("nan"), 1.0], [1.0] * 3, "not a number"),
    ],
)
def test_samples_that_give_no_interval_are_refused(mock, reference, message):
    with pytest.raises(InputError, match=message):
        paired_ratio(mock, reference)
