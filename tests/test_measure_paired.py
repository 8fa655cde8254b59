"""Blocks, caches, instances and a whole measurement, without a GPU: samplers that are made up."""

import random
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, pairwise

import pytest
import torch

from harness.errors import InputError, MissingDeviceError
from harness.measure import cache, hold, instances, interleaved, unroll
from harness.measure.blocks import Layout, blocks, random_orders, sample_until
from harness.measure.cache import cold_cache, own_bytes, spaced_orders, warm_cache
from harness.measure.graph import CaptureError
from harness.measure.model import GraphTopology
from harness.measure.paired import measure_pair
from harness.measure.sequential import FIRST_LOOK, Sequential
from harness.measure.unroll import MOST_UNROLLED, calls_to_unroll, gap_share
from ops.sides import Side, Sides


class FakeSample:
    def __init__(self, value, log=None):
        self.value, self.log = value, log
        self.pairs = ()

    def ms(self):
        if self.log is not None:
            self.log.append(f"read {self.value}")
        return self.value


def sampler(name, log, values):
    def sample():
        log.append(name)
        return FakeSample(next(values), log)

    return sample


def test_every_block_holds_each_instance_once_in_an_order_of_its_own():
    orders = list(islice(random_orders(4, seed=1), 50))
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len({tuple(order) for order in orders}) > 10
    assert orders == list(islice(random_orders(4, seed=1), 50))
    assert orders != list(islice(random_orders(4, seed=2), 50))


def test_times_come_by_sampler_whatever_the_order():
    log = []
    samplers = (sampler("a", log, iter([1, 2, 3])), sampler("b", log, iter([10, 20, 30])))
    rows = list(blocks(samplers, iter([[0, 1], [1, 0], [0, 1]])))
    assert rows == [(1, 10), (2, 20), (3, 30)]
    assert [line for line in log if len(line) == 1] == ["a", "b", "b", "a", "a", "b"]


def test_a_block_is_read_only_once_the_next_is_enqueued():
    log = []
    samplers = (sampler("a", log, iter([1, 2])), sampler("b", log, iter([10, 20])))
    list(blocks(samplers, iter([[0, 1], [0, 1]])))
    assert log.index("read 1") > max(at for at, line in enumerate(log) if line == "b")


class Clock:
    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def rows_of(*columns, noise=1e-4):
    """Blocks without end whose columns scatter about ``columns``."""
    source = random.Random(1)
    while True:
        yield tuple(value * (1 + source.gauss(0, noise)) for value in columns)


def test_sampling_ends_at_the_first_look_that_decides():
    question = Sequential(0.01)
    taken = sample_until(rows_of(1.0, 1.0), Layout(1), [question], budget_s=1e9, clock=Clock(0.001))
    assert len(taken) == FIRST_LOOK
    assert question.last.decision == "inside"


def test_each_question_is_decided_at_its_own_look():
    wide, narrow, taken = Sequential(0.05), Sequential(0.01), rows_of(1.0, 1.0, noise=0.01)
    rows = sample_until(taken, Layout(1), [wide, narrow], budget_s=9, clock=Clock(0.01))
    assert wide.last.blocks == FIRST_LOOK
    assert narrow.last.blocks == len(rows) > FIRST_LOOK
    assert wide.last.decision == narrow.last.decision == "inside"
    assert wide.seconds < narrow.seconds


def test_what_was_sampled_when_time_is_up_is_looked_at():
    question = Sequential(0.01)
    noisy = rows_of(1.0, 1.0, noise=0.01)
    taken = sample_until(noisy, Layout(1), [question], budget_s=5, clock=Clock(1))
    assert len(taken) == 5
    assert question.last.blocks == 5
    assert question.last.decision == "undecided"


def test_a_budget_that_is_over_at_once_still_gives_an_interval():
    question = Sequential(0.01)
    taken = sample_until(rows_of(1.0, 1.0), Layout(1), [question], budget_s=0.1, clock=Clock(9))
    assert len(taken) == 3


def test_the_noise_floor_compares_the_two_columns_of_the_layout():
    question = Sequential(0.01)
    layout = Layout(1, floor=((1,), (2,)))
    sample_until(rows_of(1.0, 1.0, 1.02), layout, [question], budget_s=9, clock=Clock(0.001))
    assert question.last.floor.ratio == pytest.approx(1.02, rel=1e-3)


MIB = 1 << 20
BIG = [{n: 60 * MIB} for n in range(4)]


def test_a_cold_cache_rotates_instances_that_are_large_enough():
    plan = cold_cache(BIG, 50 * MIB, lambda: None, seed=1)
    assert plan.flush is None
    assert plan.state.startswith("cold: 4 instances rotated, 240 MiB of weights against 50 MiB")


def test_between_two_samples_of_an_instance_more_than_twice_the_l2_has_passed():
    own = own_bytes(BIG)
    orders = list(islice(spaced_orders(own, 100 * MIB, seed=3), 200))
    line = [instance for order in orders for instance in order]
    for instance in range(4):
        at = [place for place, each in enumerate(line) if each == instance]
        for one, other in pairwise(at):
            assert sum(own[each] for each in set(line[one + 1 : other])) > 100 * MIB
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize(
    "footprints",
    [[{1: 60 * MIB}, {2: 60 * MIB}], [{}, {}, {}], [{1: 900 * MIB}, {1: 900 * MIB}, {2: 1}]],
    ids=["too few", "no weights known", "shared weights"],
)
def test_a_cold_cache_is_flushed_where_rotating_is_not_enough(footprints):
    plan = cold_cache(footprints, 50 * MIB, lambda: None, seed=1)
    assert plan.flush is not None
    assert plan.state == "cold: 100 MiB written before each sample, one call per sample"


def test_a_warm_cache_says_whether_an_untimed_call_leads_in():
    assert "follows an untimed one" in warm_cache(2, True, 0).state
    assert "samples of one long call" in warm_cache(2, False, 0).state


@pytest.mark.parametrize(
    ("ms", "calls"), [(0.005, 200), (0.3, 4), (1.0, 1), (15.0, 1), (0, MOST_UNROLLED)]
)
def test_a_graph_lasts_a_millisecond(ms, calls):
    assert calls_to_unroll(ms) == calls


def test_the_gap_of_a_graph_follows_from_its_time_and_that_of_a_single_call():
    gap, call = 0.004, 0.005
    assert gap_share(gap + call, gap + 100 * call, 100) == pytest.approx(0.004 / 0.504)
    assert gap_share(0.0049, 0.5, 100) == 0.0


class FakeGraph:
    def __init__(self, side, calls):
        self.side, self.calls = side, calls
        self.topology = GraphTopology((("kernel", side.label),), ())
        self.topology_problem = ""
        self.closed = False
        self.ms = 0.004 + calls * CALL_MS

    def replay(self):
        assert not self.closed
        self.side.call()

    def close(self):
        self.closed = True


CALL_MS = 0.05
L2 = 50 * MIB


@pytest.fixture
def fake_cuda(monkeypatch):
    """Sides whose label starts with "waiting" cannot be captured; a call takes 50 us, to a hair."""
    graphs, drawn = [], iter(range(10**9))

    def capture(side, *, calls=1, topology=True):
        if side.label.startswith("waiting") or calls > getattr(side, "most_calls", calls):
            raise CaptureError(side.label, "it waits for the device")
        graphs.append(FakeGraph(side, calls))
        return graphs[-1]

    def sample(ms):
        return FakeSample(ms * (1 + 1e-4 * (next(drawn) % 7)))

    def replays(replay, calls):
        return sample(0.004 + replay.__self__.calls * CALL_MS)

    def eager(side, calls):
        side.reset()
        side.call()
        return sample(CALL_MS)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for module in (unroll, instances):
        monkeypatch.setattr(module, "capture", capture)
    monkeypatch.setattr(unroll, "sample_replays", replays)
    monkeypatch.setattr(unroll, "sample_eager", eager)
    monkeypatch.setattr(
        unroll, "time_replays", lambda replay, samples: [0.004 + replay.__self__.calls * CALL_MS]
    )
    monkeypatch.setattr("harness.measure.instance.sample_eager", eager)
    monkeypatch.setattr(
        "harness.measure.instance.sample_replay",
        lambda replay, calls: sample(0.004 / calls + CALL_MS),
    )
    monkeypatch.setattr(hold, "spin", lambda cycles: None)
    monkeypatch.setattr(interleaved, "spin_rate", lambda: 1.98e9)
    monkeypatch.setattr(interleaved, "WARM_SECONDS", 0.0)
    monkeypatch.setattr(interleaved, "l2_bytes", lambda: L2)
    monkeypatch.setattr(interleaved, "flusher", lambda size: drawn.__next__)
    return graphs


def side(label, calls=None):
    return Side(label, call=calls or (lambda: None))


class Factory:
    """Builds sides again and counts; fails from a number on."""

    def __init__(self, fails_at=99):
        self.built, self.closed, self.fails_at = 0, 0, fails_at

    def __call__(self):
        self.built += 1
        if self.built >= self.fails_at:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 18 GiB\nmore")
        return Sides(side("mock"), side("reference"), close=self._close)

    def _close(self):
        self.closed += 1


def measured(another=None, **how):
    how = {"tolerance": 0.01} | how
    return measure_pair(side("mock"), side("reference"), another=another, **how)


def test_without_a_gpu_there_is_nothing_to_time_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDeviceError, match="no CUDA device"):
        measured()


def test_two_sides_that_capture_are_timed_as_unrolled_graphs_and_then_freed(fake_cuda):
    run = measured(Factory())
    found = run.measurement
    assert (found.mock.mode, found.reference.mode) == ("graph", "graph")
    assert found.decision == "inside"
    assert found.mock.calls_per_sample == 19
    assert found.gap_share == pytest.approx(0.004 / (0.004 + 19 * CALL_MS), rel=1e-6)
    assert found.gap_share < 0.02
    assert run.mock_topology == GraphTopology((("kernel", "mock"),), ())
    assert all(graph.closed for graph in fake_cuda)


def test_two_instances_a_side_are_built_sampled_in_each_block_and_closed(fake_cuda):
    another = Factory()
    found = measured(another).measurement
    assert (another.built, another.closed) == (1, 1)
    assert found.mock.instances == found.reference.instances == 2
    assert len(found.mock.samples_ms) == 2 * found.blocks
    assert found.floor.what == "another allocation of the reference"
    assert not any("instances a side" in note for note in found.notes)


def test_one_instance_a_side_gets_a_second_reference_for_the_noise_floor_alone(fake_cuda):
    another = Factory()
    found = measured(another, instances=1).measurement
    assert another.built == 1
    assert found.mock.instances == found.reference.instances == 1
    assert len(found.reference.samples_ms) == found.blocks
    assert found.floor.what == "another allocation of the reference"


def test_callables_have_one_instance_and_the_notes_say_so(fake_cuda):
    found = measured().measurement
    assert found.mock.instances == 1
    assert found.floor.what == "the same reference captured again"
    assert any("1 of 2 instances a side: these sides cannot be built" in n for n in found.notes)


def test_an_instance_that_does_not_fit_into_memory_is_left_out_and_the_notes_say_so(fake_cuda):
    another = Factory(fails_at=2)
    found = measured(another, instances=3).measurement
    assert found.mock.instances == 2
    (note,) = [note for note in found.notes if "of 3 instances" in note]
    assert note.startswith("2 of 3 instances a side: OutOfMemoryError: CUDA out of memory")
    assert another.closed == 1


def test_one_side_that_does_not_capture_makes_both_eager_and_the_notes_say_which(fake_cuda):
    run = measure_pair(side("mock"), side("waiting reference"), tolerance=0.01)
    assert (run.measurement.mock.mode, run.measurement.reference.mode) == ("eager", "eager")
    assert (run.mock_graph_problem, run.reference_graph_problem) == ("", "it waits for the device")
    assert run.mock_topology is not None
    assert run.reference_topology is None
    assert run.measurement.notes[0] == (
        "both timed eagerly: waiting reference cannot be captured: it waits for the device"
    )
    assert run.measurement.floor.what == "the same instance of the reference again"
    assert all(graph.closed for graph in fake_cuda)


def test_eager_is_timed_on_request_and_captures_nothing(fake_cuda):
    found = measured(Factory(), eager=True).measurement
    assert found.mock.mode == "eager"
    assert found.mock.instances == 2
    assert fake_cuda == []


def test_calls_that_capture_once_but_not_unrolled_are_sampled_one_by_one(fake_cuda):
    mock = side("mock")
    mock.most_calls = 1
    found = measure_pair(mock, side("reference"), tolerance=0.01).measurement
    assert found.mock.calls_per_sample == 1
    assert found.gap_share is None
    assert any(note.startswith("one call per sample: 19 calls cannot") for note in found.notes)
    assert all(graph.closed for graph in fake_cuda)


def test_a_cold_cache_means_one_call_per_sample_and_the_result_says_how(fake_cuda):
    found = measured(Factory(), cache="cold").measurement
    assert found.mock.calls_per_sample == 1
    assert found.cache == "cold"
    assert "100 MiB written before each sample" in found.cache_state


def test_a_short_sample_follows_an_untimed_one_of_the_same_instance(fake_cuda):
    assert "follows an untimed one" in measured(Factory()).measurement.cache_state


def test_a_fixed_number_of_blocks_is_looked_at_once(fake_cuda):
    found = measured(rounds=25).measurement
    assert (found.blocks, found.looks) == (25, 1)


def test_a_topology_that_cannot_be_read_is_a_note_not_a_failed_capture(fake_cuda, monkeypatch):
    def capture(side, **how):
        graph = FakeGraph(side, how.get("calls", 1))
        graph.topology, graph.topology_problem = None, "pip install cuda-bindings"
        return graph

    for module in (unroll, instances):
        monkeypatch.setattr(module, "capture", capture)
    run = measured()
    assert run.measurement.mock.mode == "graph"
    assert run.mock_graph_problem == ""
    assert "mock: pip install cuda-bindings" in run.measurement.notes


def test_graphs_and_sides_are_freed_when_timing_fails(fake_cuda, monkeypatch):
    def broken(*_args, **_how):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(interleaved, "sample_until", broken)
    another = Factory()
    with pytest.raises(RuntimeError, match="is gone"):
        measured(another)
    assert all(graph.closed for graph in fake_cuda)
    assert another.closed == 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"rounds": 2}, "2 blocks"),
        ({"instances": 0}, "0 instances"),
        ({"time_budget": 0}, "time budget"),
        ({"cache": "tepid"}, "unknown cache state 'tepid'; use one of warm, cold"),
    ],
)
def test_what_cannot_be_measured_is_refused(how, message):
    with pytest.raises(InputError, match=message):
        measured(**how)


def test_exchanged_sides_are_not_built_again_by_the_factory_of_the_others():
    sides = Sides(side("mock"), side("reference"))
    sides.another = Factory()
    assert replace(sides, mock=side("mine")).another is None


def test_closing_twice_is_harmless(fake_cuda):
    with ExitStack() as closing:
        made = unroll.capture_unrolled(side("mock"), side("reference"), closing, single=True)
        made.close()
    assert made.calls == 1
    assert cache.check_cache("warm") == "warm"
