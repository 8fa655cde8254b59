"""Warming up, with a clock and an operator that are made up."""

import pytest

from harness.measure.events import MOST_CALLS, calls_per_sample
from harness.measure.warmup import WINDOW, has_converged, warm_up


class FakeOperator:
    """Takes ``first`` ms and comes down to ``settled`` ms by a factor per sample."""

    def __init__(self, first, settled, factor=0.5):
        self.extra, self.settled, self.factor = first - settled, settled, factor
        self.now = 0.0
        self.calls = 0

    def sample(self, calls):
        call_ms = self.settled + self.extra
        self.extra *= self.factor
        self.calls += calls
        self.now += calls * call_ms / 1000
        return call_ms

    def clock(self):
        return self.now


def test_an_operator_that_settles_converges_on_its_settled_time():
    operator = FakeOperator(first=10, settled=1)
    done = warm_up(operator.sample, clock=operator.clock)
    assert done.converged
    assert done.calls == operator.calls
    assert done.call_ms == pytest.approx(1, rel=0.02)


def test_a_steady_operator_needs_two_windows_and_no_more():
    operator = FakeOperator(first=5, settled=5)
    assert warm_up(operator.sample, clock=operator.clock).calls == 2 * WINDOW


def test_an_operator_that_keeps_getting_slower_ends_at_the_cap_of_time_and_says_so():
    operator = FakeOperator(first=101, settled=100, factor=1.5)
    done = warm_up(operator.sample, max_seconds=2, clock=operator.clock)
    assert not done.converged
    assert done.end == "NOT converged"
    assert operator.now < 2 + 1


def test_clocks_get_time_to_rise_before_it_counts_as_converged():
    operator = FakeOperator(first=1, settled=1)
    done = warm_up(operator.sample, min_seconds=0.5, clock=operator.clock)
    assert done.converged
    assert operator.now >= 0.5


def test_the_cap_on_calls_holds_too():
    operator = FakeOperator(first=2, settled=1, factor=1.2)
    done = warm_up(operator.sample, max_calls=12, max_seconds=1e9, clock=operator.clock)
    assert not done.converged
    assert done.calls == 12


def test_even_a_very_slow_operator_is_called_once():
    operator = FakeOperator(first=60_000, settled=60_000)
    assert warm_up(operator.sample, max_seconds=1, clock=operator.clock).calls == 1


def test_short_calls_are_taken_several_to_a_sample():
    operator = FakeOperator(first=0.01, settled=0.01)
    done = warm_up(operator.sample, clock=operator.clock)
    assert done.calls == 1 + (2 * WINDOW - 1) * MOST_CALLS


@pytest.mark.parametrize(
    ("call_ms", "calls"), [(5.0, 1), (2.0, 1), (1.9, 2), (0.5, 4), (0.001, MOST_CALLS), (0, 64)]
)
def test_a_sample_is_long_enough_to_resolve(call_ms, calls):
    assert calls_per_sample(call_ms) == calls


def test_two_windows_that_differ_by_more_than_noise_have_not_converged():
    assert has_converged([1.0] * WINDOW + [1.01] * WINDOW)
    assert not has_converged([1.0] * WINDOW + [1.05] * WINDOW)
    assert not has_converged([1.0] * (2 * WINDOW - 1))
