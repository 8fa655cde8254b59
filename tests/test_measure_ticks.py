"""A counter that ticks, on a clock that is made up."""

import pytest

from harness.measure.instant_power import integrate_power
from harness.measure.ticks import LATE_S, TICK_TIMEOUT_S, CounterError, read_between_ticks


class FakeCounter:
    """600 W; moves every 100 ms; a poll takes 5 ms, or what ``waits`` says of its number."""

    def __init__(self, waits=None, value=None):
        self.now, self.polls, self.fed = 0.033, 0, 0
        self.waits = waits or {}
        self.value = value or (lambda now: int(now / 0.1) * 60_000)

    def read(self):
        self.polls += 1
        self.now += self.waits.get(self.polls, 0.005)
        return self.value(self.now)

    def keep_busy(self):
        self.fed += 1

    def clock(self):
        return self.now

    def window(self, **wanted):
        return read_between_ticks(self.read, self.keep_busy, clock=self.clock, **wanted)


def test_power_is_right_though_the_window_starts_between_two_ticks():
    window = FakeCounter().window(min_seconds=1.0)
    assert window.joules / window.seconds == pytest.approx(600, rel=0.01)
    assert window.ticks in (10, 11)  # a tick is known to some ms only
    assert 1.0 <= window.seconds < 1.2


def test_a_window_holds_as_many_ticks_as_are_asked_for():
    assert FakeCounter().window(min_ticks=50).ticks == 50
    assert FakeCounter().window().ticks == 1


def test_the_true_power_lies_within_the_quantisation_error():
    for begin in range(0, 100, 7):
        counter = FakeCounter()
        counter.now = begin / 1000
        window = counter.window(min_seconds=0.3)
        assert abs(window.joules / window.seconds / 600 - 1) <= window.quantisation


def test_work_is_enqueued_between_polls():
    counter = FakeCounter()
    counter.window(min_seconds=0.5)
    assert counter.fed >= 100


def test_a_counter_that_stands_still_is_an_error():
    counter = FakeCounter(value=lambda now: 7)
    with pytest.raises(CounterError, match="did not move"):
        counter.window(min_seconds=1.0)
    assert counter.now < TICK_TIMEOUT_S + 1


def test_a_counter_that_stops_on_the_way_is_an_error():
    counter = FakeCounter(value=lambda now: int(min(now, 0.8) / 0.1) * 60_000)
    with pytest.raises(CounterError, match="did not move"):
        counter.window(min_seconds=1.0)


def test_a_counter_that_wraps_starts_the_window_anew():
    top = 2**32
    counter = FakeCounter(value=lambda now: (top - 300_000 + int(now / 0.1) * 60_000) % top)
    window = counter.window(min_seconds=1.0)
    assert window.joules / window.seconds == pytest.approx(600, rel=0.01)
    assert "stepped back" in window.notes[0]


def test_a_counter_that_keeps_stepping_back_is_an_error():
    counter = FakeCounter(value=lambda now: int(now / 0.1) * 60_000 % 420_000)
    with pytest.raises(CounterError, match="stepped back 4 times"):
        counter.window(min_seconds=1.0)


def test_a_poll_that_misses_a_tick_sees_one_move_and_all_of_the_energy():
    plain = FakeCounter().window(min_seconds=1.0)
    slow = FakeCounter(waits={150: 0.15}).window(min_seconds=1.0)
    assert slow.joules / slow.seconds == pytest.approx(600, rel=0.01)
    assert slow.ticks < slow.seconds / 0.1
    assert plain.ticks == pytest.approx(plain.seconds / 0.1, abs=0.1)


def polls_at(moments, length):
    """Which polls of a 5 ms counter begin at these moments, and that they take so long."""
    return {int((moment - 0.033) / 0.005) + 1: length for moment in moments}


def test_a_window_neither_begins_nor_ends_with_a_tick_that_was_seen_late():
    # the third tick (0.3 s) would begin it, the thirteenth (1.3 s) would end it
    late = FakeCounter(waits=polls_at([0.28], 0.09)).window(min_seconds=1.0)
    assert late.quantisation < 2 * LATE_S
    assert late.start_s == pytest.approx(0.4, abs=0.01)
    polls = polls_at([1.29], 0.09)
    late = FakeCounter(waits=polls).window(min_seconds=0.99)
    assert late.end_s == pytest.approx(1.4, abs=0.01)
    assert late.joules / late.seconds == pytest.approx(600, rel=0.01)


def test_when_every_poll_is_late_the_window_ends_and_its_error_is_large():
    always = dict.fromkeys(range(1, 1000), 0.09)
    window = FakeCounter(waits=always).window(min_seconds=1.0)
    assert window.quantisation > 0.05
    assert abs(window.joules / window.seconds / 600 - 1) <= window.quantisation


class FakePower:
    """A reading that moves every 100 ms between two values."""

    def __init__(self, values=(500.0, 700.0)):
        self.now, self.values = 7.013, values

    def read(self):
        self.now += 0.004
        return self.values[int(self.now / 0.1) % 2]

    def window(self, seconds):
        return integrate_power(self.read, lambda: None, seconds, lambda: self.now)


def test_instant_power_is_integrated_over_time():
    window = FakePower().window(2.0)
    assert window.joules / window.seconds == pytest.approx(600, rel=0.02)
    assert window.seconds == pytest.approx(2.0, abs=0.02)
    assert window.tick_s == pytest.approx(0.1, abs=0.01)
    assert window.quantisation == pytest.approx(0.1 * 200 / 1200, rel=0.1)


def test_steady_instant_power_is_not_mistaken_for_none():
    window = FakePower((600.0, 600.0)).window(1.0)
    assert window.joules == pytest.approx(600, rel=0.02)
    assert window.ticks == 0


@pytest.mark.parametrize(("value", "said"), [(None, "does not tell"), (0.0, "0 W")])
def test_instant_power_that_is_absent_or_nothing_is_an_error(value, said):
    with pytest.raises(CounterError, match=said):
        FakePower((value, value)).window(0.5)
