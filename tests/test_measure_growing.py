"""Instances are added where it is allocations that keep a ratio open, and only there."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import torch

from harness.measure import interleaved
from harness.measure.growing import MOST_INSTANCES, sample_growing
from harness.measure.hold import MARGIN, MOST_HOLD_S, PROBES, Held
from harness.measure.instances import Instances
from harness.measure.sequential import Decision, Sequential

SHORT_MS, LONG_MS = 0.006, 1.0


@dataclass
class FakeSample:
    value: float

    def ms(self):
        return self.value


@dataclass
class FakeInstance:
    """Takes ``call_ms``, off by its allocation, with 0.05 % of noise."""

    call_ms: float
    source: random.Random
    calls: int = 200
    graph: object = field(default_factory=object)

    def lead_in(self):
        pass

    def sample(self):
        return FakeSample(self.call_ms * (1 + self.source.gauss(0, 5e-4)))


class Card:
    """Makes instances whose allocations move them by ``allocation`` (standard deviation)."""

    def __init__(self, call_ms, ratio=1.0, allocation=0.0065, seed=1, most=MOST_INSTANCES):
        self.call_ms, self.ratio, self.allocation, self.most = call_ms, ratio, allocation, most
        self.source = random.Random(seed)
        self.made = Instances([], [], sample_ms=200 * call_ms)
        self.asked = []
        self.extend(2)
        self.asked.clear()

    def extend(self, wanted):
        self.asked.append(wanted)
        while len(self.made.mock) < min(wanted, self.most):
            self.made.mock.append(self._instance(self.ratio))
            self.made.reference.append(self._instance(1.0))

    def _instance(self, ratio):
        off = 1 + self.source.gauss(0, self.allocation)
        return FakeInstance(self.call_ms * ratio * off, self.source)

    def decide(self, tolerance=0.01, *, grows=True):
        question = Sequential(tolerance)
        sampled = sample_growing(
            self.made, "warm", 1, [question], budget_s=20, extend=self.extend if grows else None
        )
        return question, sampled


@pytest.fixture(autouse=True)
def no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(interleaved, "WARM_SECONDS", 0.0)


def test_a_short_operator_gets_more_instances_until_it_is_decided():
    card = Card(SHORT_MS)
    question, sampled = card.decide()
    assert question.last.decision is Decision.INSIDE
    assert question.last.instances == len(card.made.mock) == card.asked[-1] > 2
    assert len(sampled.rows[0]) == 2 * len(card.made.mock)
    assert any("blocks of 2 instances a side were left aside" in note for note in sampled.notes)


def test_a_long_operator_is_decided_with_the_instances_that_are_there():
    card = Card(LONG_MS, allocation=5e-4)
    question, sampled = card.decide()
    assert question.last.decision is Decision.INSIDE
    assert (card.asked, sampled.notes) == ([], ())


def test_a_slower_short_operator_is_found_though_allocations_move_it_as_much():
    found = [Card(SHORT_MS, ratio=1.015, seed=seed).decide()[0] for seed in range(60)]
    outside = sum(question.last.decision is Decision.OUTSIDE for question in found)
    assert outside >= 57
    assert max(question.last.instances for question in found) <= MOST_INSTANCES


def test_equal_short_operators_are_not_called_different():
    found = [Card(SHORT_MS, seed=seed).decide(0.005)[0] for seed in range(60)]
    assert not any(question.last.decision is Decision.OUTSIDE for question in found)


def test_two_instances_alone_decide_nothing_about_a_short_operator():
    question, sampled = Card(SHORT_MS, ratio=1.015).decide(grows=False)
    assert question.last.decision is Decision.UNDECIDED
    assert "more instances do" in question.last.reason
    assert sampled.notes == ()


def test_where_none_can_be_added_sampling_goes_on_with_those_that_are_there():
    card = Card(SHORT_MS, ratio=1.015, most=2)
    question, sampled = card.decide()
    assert question.last.decision is Decision.UNDECIDED
    assert len(card.asked) == 1
    assert [note.endswith("but none could be added") for note in sampled.notes] == [True]
    assert len(sampled.rows[0]) == 4


def test_the_error_is_spent_over_the_looks_of_all_stages():
    question, _ = Card(SHORT_MS, ratio=1.01).decide(0.01)
    assert question.last.number > 1
    assert question.last.blocks < 400


class Clock:
    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def test_the_card_is_held_for_the_time_that_the_host_needs(monkeypatch):
    cycles = []
    monkeypatch.setattr("harness.measure.hold.spin", cycles.append)
    order = []
    held = Held(lambda: order.append("sample"), lambda: order.append("lead-in"), 1e9, Clock(0.002))
    for _ in range(PROBES + 2):
        held()
    assert held.hold_s == pytest.approx(MARGIN * 0.002)
    assert cycles == [pytest.approx(MARGIN * 2e6, rel=1e-6)] * 2
    assert order == ["lead-in", "sample"] * (PROBES + 2)


def test_the_card_is_never_held_for_long(monkeypatch):
    monkeypatch.setattr("harness.measure.hold.spin", lambda cycles: None)
    held = Held(lambda: None, None, 1e9, Clock(1.0))
    for _ in range(PROBES):
        held()
    assert held.hold_s == MOST_HOLD_S
