"""Energy on a card, a counter and a clock that are made up."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from harness.errors import InputError
from harness.measure import energy, energy_window, feed
from harness.measure.energy import measure_energy
from harness.measure.energy_window import COUNTER, INTEGRATED, MIN_TICKS, CardReader
from harness.measure.feed import DEPTH, Feeder, Timeline, batch_calls

TICK_S = 0.1


class FakeCard:
    """A clock, a GPU that works off calls one after the other, and NVML readings of it.

    It draws 600 W while it works and 100 W else; its counter moves every 100 ms.
    """

    def __init__(self, call_s=0.001, counter=True, instant=True, launch_s=2e-6):
        self.now = 50.033
        self.call_s, self.launch_s = call_s, launch_s
        self.counter, self.instant = counter, instant
        self.busy_until = self.now
        self.spans: list[list[float]] = [[self.now, self.now]]
        self.asked: list[str] = []

    def clock(self):
        self.now += 1e-6
        return self.now

    def replay(self):
        self.now += self.launch_s
        begin = max(self.now, self.busy_until)
        self.busy_until = begin + self.call_s
        if begin > self.spans[-1][1] + 1e-12:
            self.spans.append([begin, begin])
        self.spans[-1][1] = self.busy_until

    def joules(self, moment):
        busy = sum(max(0.0, min(end, moment) - begin) for begin, end in self.spans)
        return 100 * moment + 500 * busy

    def energy_mj(self, device):
        self.asked.append(device)
        self.now += 0.0015
        if not self.counter:
            return None
        return round(self.joules(int(self.now / TICK_S) * TICK_S) * 1000)

    def instant_power_w(self, device):
        self.now += 0.0015
        if not self.instant:
            return None
        shown = int(self.now / TICK_S) * TICK_S
        working = any(begin <= shown < end for begin, end in self.spans)
        return 600.0 if working else 100.0

    def power_limit_w(self, device):
        return 700.0

    def sleep(self, seconds):
        self.now += seconds

    def synchronize(self):
        self.now = max(self.now, self.busy_until) + 1e-5


class FakeEvent:
    """As torch's: it happens when the work before it has ended."""

    def __init__(self, card):
        self.card = card
        self.at = max(card.now, card.busy_until)

    def query(self):
        return self.card.now >= self.at

    def synchronize(self):
        self.card.now = max(self.card.now, self.at) + 1e-5

    def elapsed_time(self, later):
        return (later.at - self.at) * 1000


@pytest.fixture
def use(monkeypatch):
    """Put a made-up card in place of the GPU, NVML and the clock."""

    def put(card, uuid="GPU-a"):
        monkeypatch.setattr(energy, "_reader", lambda device: CardReader(card, uuid, card.clock))
        monkeypatch.setattr(energy, "_on", lambda device: nullcontext())
        monkeypatch.setattr(energy, "time_replays", lambda replay, samples: [card.call_s * 1000])
        monkeypatch.setattr(energy, "time", SimpleNamespace(sleep=card.sleep))
        monkeypatch.setattr(feed, "_recorded", lambda: FakeEvent(card))
        monkeypatch.setattr(feed, "_wait_for_the_card", card.synchronize)
        monkeypatch.setattr(torch.cuda, "synchronize", card.synchronize)
        return card

    return put


def test_joules_per_call_are_those_of_the_calls_between_the_ticks(use):
    card = use(FakeCard(call_s=0.001))
    found, reason = measure_energy(card.replay, min_duration_s=1.0)
    assert reason == ""
    assert found["energy_j"] == pytest.approx(0.6, rel=0.003)
    assert found["power"] == pytest.approx(600, rel=0.003)
    assert found["calls_between_ticks"] == pytest.approx(found["duration_s"] / 0.001, rel=0.001)
    assert found["calls"] > found["calls_between_ticks"]
    assert found["replay_ms"] == pytest.approx(1.0, rel=0.001)
    assert (found["source"], found["power_limit"], found["notes"]) == (COUNTER, 700.0, [])


def test_without_a_duration_a_window_holds_fifty_ticks(use):
    card = use(FakeCard())
    found, _ = measure_energy(card.replay)
    assert found["ticks"] == MIN_TICKS == 50
    assert found["duration_s"] == pytest.approx(5.0, abs=0.02)
    assert found["tick_s"] == pytest.approx(0.1, abs=0.005)
    assert found["quantisation"] < 0.002


def test_a_short_duration_is_kept_in_ticks_and_its_error_is_said(use):
    card = use(FakeCard())
    found, _ = measure_energy(card.replay, min_duration_s=0.25)
    assert found["ticks"] == 3
    assert 0.25 <= found["duration_s"] < 0.36
    assert found["energy_j"] == pytest.approx(0.6, rel=found["quantisation"])
    assert 0.005 < found["quantisation"] < 0.03


@pytest.mark.parametrize("asked", [0.0, 1e-3])
def test_no_duration_is_too_short_for_one_tick_of_energy(use, asked):
    card = use(FakeCard())
    found, _ = measure_energy(card.replay, min_duration_s=asked)
    assert found["ticks"] == 1
    assert found["energy_j"] == pytest.approx(0.6, rel=found["quantisation"])


def test_a_window_is_longer_where_calls_are(use):
    card = use(FakeCard(call_s=0.4))
    found, _ = measure_energy(card.replay, min_duration_s=0.1)
    assert found["calls_between_ticks"] >= 5
    assert found["energy_j"] == pytest.approx(240, rel=0.01)


def test_a_call_that_is_shorter_than_its_launch_ends_and_is_noted(use):
    card = use(FakeCard(call_s=3e-6, launch_s=8e-6))
    found, _ = measure_energy(card.replay, min_duration_s=0.3)
    assert found["ran_dry"] > 10
    assert "repeat_n" in found["notes"][0]


def test_idle_power_is_read_before_the_work(use):
    card = use(FakeCard())
    found, _ = measure_energy(card.replay, min_duration_s=0.5, idle_s=0.5)
    assert found["idle_w"] == pytest.approx(100, rel=0.03)
    assert found["power"] == pytest.approx(600, rel=0.01)
    without, _ = measure_energy(card.replay, min_duration_s=0.5)
    assert without["idle_w"] is None


def test_every_reading_is_of_the_card_with_the_uuid_of_the_device(use):
    card = use(FakeCard(), uuid="GPU-of-this-rank")
    found, _ = measure_energy(card.replay, "cuda:3", min_duration_s=0.3)
    assert set(card.asked) == {"GPU-of-this-rank"}
    assert found["uuid"] == "GPU-of-this-rank"


def test_without_a_counter_instant_power_is_integrated_and_the_result_says_so(use):
    card = use(FakeCard(counter=False))
    found, reason = measure_energy(card.replay, min_duration_s=1.0)
    assert reason == ""
    assert found["source"] == INTEGRATED
    assert found["notes"] == ["the card has no energy counter: integrated instant power"]
    assert found["energy_j"] == pytest.approx(0.6, rel=0.01)
    assert found["duration_s"] == pytest.approx(1.0, abs=0.05)


def test_a_counter_that_stands_still_is_no_counter(use):
    card = use(FakeCard())
    card.energy_mj = lambda device: card.sleep(0.0015) or 7
    found, _ = measure_energy(card.replay, min_duration_s=0.5)
    assert found["source"] == INTEGRATED
    assert "did not move" in found["notes"][0]


def test_without_any_reading_there_is_no_figure_and_a_reason(use):
    card = use(FakeCard(counter=False, instant=False))
    found, reason = measure_energy(card.replay)
    assert found is None
    assert "no energy counter" in reason
    assert "instant power" in reason


def test_a_process_that_has_traced_says_so(use, monkeypatch):
    card = use(FakeCard())
    monkeypatch.setattr(energy_window, "has_traced", lambda: True)
    monkeypatch.setattr(energy_window, "traced_by", lambda: frozenset({"cupti"}))
    found, _ = measure_energy(card.replay, min_duration_s=0.3)
    assert found["traced_before"]
    assert "cupti" in found["notes"][0]


def test_nothing_is_measured_while_a_profiler_runs(use):
    card = use(FakeCard())
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        found, reason = measure_energy(card.replay)
    assert found is None
    assert "torch.profiler" in reason


@pytest.mark.parametrize("wrong", [{"min_duration_s": -1.0}, {"idle_s": float("nan")}])
def test_a_duration_that_is_none_is_refused(wrong):
    with pytest.raises(InputError):
        measure_energy(lambda: None, **wrong)


def test_batches_are_longer_than_polls_and_fit_the_launch_queue():
    assert batch_calls(1.0, 1.5) == 40
    assert batch_calls(1.0, 20.0) == 80
    assert batch_calls(0.001, 1.5) == 300
    assert batch_calls(500.0, 1.5) == 1


def test_a_moment_within_a_batch_counts_the_share_that_had_ended():
    line = Timeline((10.0, 11.0, 13.0), (0, 10, 20))
    assert line.ended_by(9.0) == 0
    assert line.ended_by(10.5) == 5
    assert line.ended_by(12.0) == 15
    assert line.ended_by(99.0) == 20


def test_the_host_clock_of_a_batch_survives_a_host_that_looks_late(use, monkeypatch):
    card = use(FakeCard())
    late = iter([0.0, 0.3, 0.0, 0.0, 0.0, 0.2])
    event = FakeEvent.synchronize

    def preempted(self):
        event(self)
        self.card.now += next(late, 0.0)

    monkeypatch.setattr(FakeEvent, "synchronize", preempted)
    feeder = Feeder(card.replay, 10, card.clock)
    begun = card.busy_until - 10 * DEPTH * card.call_s
    for _ in range(50):
        card.sleep(0.004)
        feeder.keep_busy()
    line = feeder.finish()
    assert line.calls[-1] == feeder.calls
    expected = begun + feeder.calls * card.call_s
    assert line.ends_s[-1] == pytest.approx(expected, abs=2e-3)
