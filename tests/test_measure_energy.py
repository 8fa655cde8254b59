"""The energy counter, on a clock that is made up."""

import pytest

from harness.measure import energy
from harness.measure.energy import TICK_TIMEOUT_S, measure_energy, read_between_ticks


class FakeCard:
    """Draws 600 W; its counter moves every 100 ms; a poll takes 5 ms."""

    def __init__(self, ticking=True):
        self.now, self.fed, self.ticking = 0.033, 0, ticking

    def counter(self):
        self.now += 0.005
        return int(self.now / 0.1) * 60_000 if self.ticking else 7

    def keep_busy(self):
        self.fed += 1

    def clock(self):
        return self.now


def test_power_is_right_though_the_window_starts_between_two_ticks():
    card = FakeCard()
    window = read_between_ticks(card.counter, card.keep_busy, 1.0, card.clock)
    assert window.joules / window.seconds == pytest.approx(600, rel=0.01)
    assert window.ticks >= 10
    assert 1.0 <= window.seconds < 1.2


def test_work_is_enqueued_between_polls():
    card = FakeCard()
    read_between_ticks(card.counter, card.keep_busy, 0.5, card.clock)
    assert card.fed >= 100


def test_a_counter_that_stands_still_gives_nothing():
    card = FakeCard(ticking=False)
    assert read_between_ticks(card.counter, card.keep_busy, 1.0, card.clock) is None
    assert card.now < TICK_TIMEOUT_S + 1


def test_a_card_without_a_counter_gives_the_reason(monkeypatch):
    class NoCounter:
        def energy_mj(self, device):
            return None

    monkeypatch.setattr(energy, "nvml", NoCounter)
    assert measure_energy(lambda: None) == (None, "the card has no energy counter")
