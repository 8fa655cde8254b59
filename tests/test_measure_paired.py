"""Interleaving, without a GPU: samplers that note when they ran."""

import pytest
import torch

from harness.errors import InputError, MissingDeviceError
from harness.measure import paired
from harness.measure.graph import CaptureError
from harness.measure.model import GraphTopology
from harness.measure.paired import (
    FEWEST_ROUNDS,
    ROUNDS,
    _interleave,
    balanced_order,
    measure_pair,
    rounds_within_budget,
)
from ops.sides import Side


class FakeSample:
    def __init__(self, value, log):
        self.value, self.log = value, log

    def ms(self):
        self.log.append(f"read {self.value}")
        return self.value


def sampler(name, log, values):
    def sample(calls):
        log.append(f"{name} x{calls}")
        return FakeSample(next(values), log)

    return sample


def test_each_side_goes_first_as_often_as_the_other():
    order = balanced_order(40, seed=1)
    assert order.count(True) == 20
    assert order == balanced_order(40, seed=1)
    assert order != balanced_order(40, seed=2)


def test_sample_i_of_one_side_was_taken_next_to_sample_i_of_the_other():
    log = []
    samplers = (
        sampler("mock", log, iter([1.0, 2.0, 3.0])),
        sampler("reference", log, iter([10.0, 20.0, 30.0])),
    )
    mock, reference = _interleave(samplers, 4, [True, False, True], None)
    assert (mock, reference) == ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    assert [line for line in log if "x4" in line] == [
        "mock x4",
        "reference x4",
        "reference x4",
        "mock x4",
        "mock x4",
        "reference x4",
    ]


def test_a_round_is_read_only_once_the_next_is_enqueued():
    log = []
    samplers = (sampler("mock", log, iter([1, 2])), sampler("reference", log, iter([10, 20])))
    _interleave(samplers, 1, [True, True], None)
    assert log.index("read 1") > max(at for at, line in enumerate(log) if line == "reference x1")


def test_progress_ends_at_the_number_of_rounds():
    seen = []
    samplers = (sampler("a", [], iter([1, 2])), sampler("b", [], iter([1, 2])))
    _interleave(samplers, 1, [True, False], lambda done, rounds: seen.append((done, rounds)))
    assert seen[-1] == (2, 2)


def test_slow_operators_get_fewer_rounds_but_never_too_few():
    assert rounds_within_budget(4.0) == ROUNDS
    assert rounds_within_budget(333.0) == 30
    assert rounds_within_budget(60_000.0) == FEWEST_ROUNDS


def test_without_a_gpu_there_is_nothing_to_time_on(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    side = Side("mock", call=lambda: None)
    with pytest.raises(MissingDeviceError, match="no CUDA device"):
        measure_pair(side, side, tolerance=0.01)


class FakeGraph:
    def __init__(self, label):
        self.topology = GraphTopology((("kernel", label),), ())
        self.topology_problem = ""
        self.closed = False

    def replay(self):
        assert not self.closed

    def close(self):
        self.closed = True


@pytest.fixture
def fake_cuda(monkeypatch):
    """Sides whose label starts with "waiting" cannot be captured; a call takes 1 ms."""
    graphs = []

    def capture(side):
        if side.label.startswith("waiting"):
            raise CaptureError(side.label, "it waits for the device")
        graphs.append(FakeGraph(side.label))
        return graphs[-1]

    def sample(what, calls):
        (what if callable(what) else what.call)()
        return FakeSample(1.0, [])

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(paired, "capture", capture)
    monkeypatch.setattr(paired, "sample_replays", sample)
    monkeypatch.setattr(paired, "sample_eager", sample)
    return graphs


def side(label):
    return Side(label, call=lambda: None)


def test_two_sides_that_capture_are_timed_as_graphs_and_then_freed(fake_cuda):
    run = measure_pair(side("mock"), side("reference"), tolerance=0.01)
    assert (run.measurement.mock.mode, run.measurement.reference.mode) == ("graph", "graph")
    assert (run.measurement.ratio, run.measurement.ci95) == (1.0, (1.0, 1.0))
    assert len(run.measurement.mock.samples_ms) == ROUNDS
    assert run.measurement.mock.calls_per_sample == 2
    assert run.mock_topology == GraphTopology((("kernel", "mock"),), ())
    assert all(graph.closed for graph in fake_cuda)


def test_one_side_that_does_not_capture_makes_both_eager_and_the_notes_say_which(fake_cuda):
    run = measure_pair(side("mock"), side("waiting reference"), tolerance=0.01, rounds=5)
    assert (run.measurement.mock.mode, run.measurement.reference.mode) == ("eager", "eager")
    assert (run.mock_graph_problem, run.reference_graph_problem) == ("", "it waits for the device")
    assert run.mock_topology is not None
    assert run.reference_topology is None
    assert run.measurement.notes[0] == (
        "both timed eagerly: waiting reference cannot be captured: it waits for the device"
    )
    assert all(graph.closed for graph in fake_cuda)


def test_a_topology_that_cannot_be_read_is_a_note_not_a_failed_capture(fake_cuda, monkeypatch):
    def capture(side):
        graph = FakeGraph(side.label)
        graph.topology, graph.topology_problem = None, "pip install cuda-bindings"
        return graph

    monkeypatch.setattr(paired, "capture", capture)
    run = measure_pair(side("mock"), side("reference"), tolerance=0.01, rounds=3)
    assert run.measurement.mock.mode == "graph"
    assert run.mock_graph_problem == ""
    assert "mock: pip install cuda-bindings" in run.measurement.notes


def test_graphs_are_freed_when_timing_fails(fake_cuda):
    with pytest.raises(InputError, match="2 pairs"):
        measure_pair(side("mock"), side("reference"), tolerance=0.01, rounds=2)
    assert all(graph.closed for graph in fake_cuda)
