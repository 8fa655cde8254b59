"""Capture, pairs, energy and benchmark_with_power on a real card. No figure is asserted."""

import math
import re
from contextlib import ExitStack

import pytest
import torch

from harness import benchmark_with_power
from harness.measure.cache import l2_bytes
from harness.measure.conditions import ConditionsWatch
from harness.measure.energy import measure_energy
from harness.measure.graph import CaptureError, capture
from harness.measure.model import GraphTopology
from harness.measure.nvml import nvml
from harness.measure.paired import measure_pair
from harness.measure.topology import differences
from ops.sides import Side, Sides

pytestmark = pytest.mark.gpu


class Small(torch.nn.Module):
    """RMSNorm, then a product with a matrix."""

    def __init__(self, width=1024):
        super().__init__()
        self.norm = torch.nn.RMSNorm(width, device="cuda", dtype=torch.bfloat16)
        self.linear = torch.nn.Linear(width, width, bias=False, device="cuda", dtype=torch.bfloat16)
        self.x = torch.randn(256, width, device="cuda", dtype=torch.bfloat16)

    def forward(self):
        return self.linear(self.norm(self.x))


def side_of(module, label="mock"):
    return Side(label, call=module, module=module, context=torch.inference_mode)


def waiting_side(label="waiting"):
    x = torch.randn(1024, device="cuda")
    return Side(label, call=lambda: x * x.sum().item())


def failing_side():
    def call():
        if torch.cuda.is_current_stream_capturing():
            raise ValueError("mine\nsecond line")

    return Side("failing", call=call)


@pytest.fixture
def graphs():
    """Captures, and closes what was captured."""
    opened = []

    def make(side, **how):
        opened.append(capture(side, **how))
        return opened[-1]

    yield make
    for graph in opened:
        graph.close()


def assert_usable(stream):
    """The current stream, the allocator and the random generator are as before a capture."""
    assert torch.cuda.current_stream() == stream
    assert not torch.cuda.is_current_stream_capturing()
    torch.cuda.empty_cache()
    assert torch.isfinite(torch.randn(100, device="cuda").sum()).item()
    graph = capture(side_of(Small(64)))
    graph.replay()
    torch.cuda.synchronize()
    graph.close()


def test_a_replay_computes_what_the_call_computes(graphs):
    module = Small()
    graph = graphs(side_of(module))
    module.x.normal_()
    graph.replay()
    with torch.inference_mode():
        assert torch.equal(graph.output, module())


def test_the_topology_names_what_was_launched(graphs):
    x = torch.zeros(64, device="cuda")
    topology = graphs(Side("mock", call=lambda: x.add_(1).exp_())).topology
    assert [kind for kind, _ in topology.nodes] == ["kernel", "kernel"]
    assert all(name.startswith("_Z") for _, name in topology.nodes)
    assert "exp" in topology.nodes[1][1]
    assert topology.edges == ((0, 1),)


def test_several_calls_are_one_chain(graphs):
    x = torch.zeros(64, device="cuda")
    topology = graphs(Side("mock", call=lambda: x.add_(1)), calls=5).topology
    assert len(topology.nodes) == 5
    assert topology.branches == 1


def test_a_second_stream_is_a_second_branch(graphs):
    x, other = torch.zeros(64, device="cuda"), torch.cuda.Stream()

    def forked():
        current = torch.cuda.current_stream()
        other.wait_stream(current)
        y = x + 1
        with torch.cuda.stream(other):
            z = x * 2
        current.wait_stream(other)
        return y + z

    topology = graphs(Side("mock", call=forked)).topology
    assert isinstance(topology, GraphTopology)
    assert topology.branches == 2


def test_capturing_again_gives_the_same_graph(graphs):
    side = side_of(Small())
    assert differences(graphs(side).topology, graphs(side).topology) == []


@pytest.mark.parametrize(
    ("make", "reason"), [(waiting_side, "captur"), (failing_side, "ValueError: mine$")]
)
def test_a_capture_that_fails_leaves_cuda_usable(make, reason):
    stream, side = torch.cuda.current_stream(), make()
    for _ in range(3):
        with pytest.raises(CaptureError) as caught:
            capture(side)
        assert re.search(reason, caught.value.reason)
        assert "\n" not in caught.value.reason
        assert_usable(stream)


def test_a_side_that_names_a_reason_is_not_captured():
    side = side_of(Small())
    side.no_graph_because = "it allocates on the host"
    with pytest.raises(CaptureError, match="it allocates on the host"):
        capture(side)


def test_a_closed_graph_gives_its_memory_back():
    side = Side("mock", call=lambda: torch.ones(64 << 20, device="cuda"))
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    graph = capture(side)
    assert torch.cuda.memory_reserved() >= before + (256 << 20)
    graph.close()
    graph.close()
    assert torch.cuda.memory_reserved() <= before + (32 << 20)
    with pytest.raises(RuntimeError, match="closed"):
        graph.replay()


def test_equal_sides_have_a_ratio_near_one():
    run = measure_pair(side_of(Small()), side_of(Small(), "reference"), tolerance=0.01)
    found = run.measurement
    assert found.mock.mode == found.reference.mode == "graph"
    assert math.isfinite(found.ratio)
    assert 0.8 < found.ratio < 1.25
    assert found.ci95[0] <= found.ratio <= found.ci95[1]
    assert differences(run.mock_topology, run.reference_topology) == []
    assert run.mock_graph_problem == run.reference_graph_problem == ""


class Factory:
    """Builds two equal sides, again and again; each holds weights of ``size`` bytes."""

    def __init__(self, size=0):
        self.size, self.open = size, 0

    def __call__(self):
        self.open += 1
        sides = Sides(*(self._side(label) for label in ("mock", "reference")), close=self._close)
        sides.another = self
        return sides

    def _side(self, label):
        side = side_of(Small(), label)
        side.weights = {"w": torch.empty(max(self.size, 1), dtype=torch.uint8, device="cuda")}
        return side

    def _close(self):
        self.open -= 1


def measured(sides, **how):
    how = {"tolerance": 0.01, "another": sides.another} | how
    return measure_pair(sides.mock, sides.reference, **how)


def test_a_small_operator_is_unrolled_and_its_topology_is_that_of_one_call():
    run = measured(Factory()())
    found = run.measurement
    assert found.mock.calls_per_sample == found.reference.calls_per_sample > 1
    assert found.gap_share is not None
    said = any("launching takes" in note for note in found.notes)
    assert said == (found.gap_share > 0.02)
    graph = capture(side_of(Small()))
    assert len(run.mock_topology.nodes) == len(graph.topology.nodes)
    graph.close()


def test_every_call_of_a_graph_starts_from_the_state_that_reset_leaves(graphs):
    x, state = torch.zeros(64, device="cuda"), []

    def call():
        assert state == []
        state.append(1)
        return x + 1

    graph = graphs(Side("mock", call=call, reset=state.clear), calls=4)
    assert len(graph.topology.nodes) == 4


def test_a_graph_whose_topology_is_not_wanted_has_none(graphs):
    graph = graphs(side_of(Small()), calls=3, topology=False)
    assert (graph.topology, graph.topology_problem) == (None, "not read")


@pytest.mark.parametrize("eager", [False, True])
def test_several_instances_are_timed_in_memory_of_their_own_and_freed(eager):
    factory = Factory()
    sides = factory()
    measured(sides, instances=3, eager=eager, rounds=3)  # cuBLAS keeps a workspace per stream
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    found = measured(sides, instances=3, eager=eager).measurement
    assert found.mock.mode == ("eager" if eager else "graph")
    assert found.mock.instances == found.reference.instances == 3
    assert len(found.mock.samples_ms) == 3 * found.blocks
    assert factory.open == 1
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before + (64 << 20)


def test_the_reference_is_compared_with_a_second_instance_of_itself():
    for instances, another, what in (
        (2, True, "another allocation of the reference"),
        (1, True, "another allocation of the reference"),
        (2, False, "the same reference captured again"),
    ):
        sides = Factory()()
        sides.another = sides.another if another else None
        floor = measured(sides, instances=instances).measurement.floor
        assert floor.what == what
        assert floor.ci95[0] <= floor.ratio <= floor.ci95[1]
        assert 0.8 < floor.ratio < 1.25


def test_a_cold_cache_is_flushed_for_small_operators_and_rotated_for_large_ones():
    small = measured(Factory()(), cache="cold", rounds=10).measurement
    assert small.mock.calls_per_sample == 1
    assert "written before each sample" in small.cache_state
    large = measured(Factory(l2_bytes())(), cache="cold", rounds=10).measurement
    assert "4 instances rotated" in large.cache_state


def test_an_instance_that_does_not_fit_is_left_out_and_the_notes_say_so():
    sides = Factory()()
    sides.another = lambda: torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
    found = measured(sides).measurement
    assert found.mock.instances == 1
    assert any("1 of 2 instances a side: OutOfMemoryError" in note for note in found.notes)
    assert_usable(torch.cuda.current_stream())


def test_a_mock_that_does_everything_twice_is_outside_and_an_equal_one_is_not():
    module, reference = Small(), side_of(Small(), "reference")
    twice = Side("mock", call=lambda: (module(), module()), context=torch.inference_mode)
    found = measure_pair(twice, reference, tolerance=0.01).measurement
    assert (found.decision, found.undecided_because) == ("outside", "")
    equal = measure_pair(side_of(Small()), reference, tolerance=0.1).measurement
    assert equal.decision == "inside"


def test_a_time_budget_ends_an_open_question():
    found = measured(Factory()(), tolerance=1e-6, time_budget=0.2).measurement
    assert found.decision == "undecided"
    assert found.undecided_because


def test_one_side_that_cannot_be_captured_makes_both_eager_and_says_so():
    run = measure_pair(
        side_of(Small()), waiting_side("reference"), tolerance=0.01, rounds=5, seed=1
    )
    assert run.measurement.mock.mode == run.measurement.reference.mode == "eager"
    assert run.mock_topology is not None
    assert run.reference_topology is None
    assert run.mock_graph_problem == ""
    assert run.reference_graph_problem
    assert any("reference cannot be captured" in note for note in run.measurement.notes)


def test_eager_calls_are_reset_before_each():
    events = []
    side = waiting_side("mock")
    call = side.call
    side.call = lambda: (events.append("call"), call())
    side.reset = lambda: events.append("reset")
    measure_pair(side, side, tolerance=0.01, rounds=3)
    assert all(events[at - 1] == "reset" for at, name in enumerate(events) if name == "call")


def test_the_card_is_read_on_both_sides_of_a_measurement():
    pytest.importorskip("pynvml")
    found = ConditionsWatch("cuda").finish()
    assert found.unavailable == ""
    for reading in (found.before, found.after):
        assert reading["sm_clock_mhz"] > 0
        assert "gpu_idle" not in reading["clock_event_reasons"]


def test_energy_is_positive_or_the_reason_is_named():
    pytest.importorskip("pynvml")
    graph = capture(side_of(Small()))
    try:
        energy, reason = measure_energy(graph.replay, "cuda", min_duration_s=0.3)
    finally:
        graph.close()
    if nvml().energy_mj("cuda") is None:
        assert (energy, reason) == (None, "the card has no energy counter")
    else:
        assert energy["power"] > 0
        assert energy["energy_j"] > 0
        assert energy["ticks"] >= 2


@pytest.mark.parametrize("device", [torch.device("cuda"), "cuda:0", 0])
def test_benchmark_with_power_times_a_graph(device):
    call, allocated = Small().forward, []
    for _ in range(3):
        with benchmark_with_power(device, call, repeat_n=3, measure_power=False) as result:
            assert result["used_cuda_graph"] is True
            assert result["latency_ms"] > 0
            assert len(result["samples_ms"]) == result["num_runs_executed"] == 6
        allocated.append(torch.cuda.memory_allocated())
    assert allocated[2] == allocated[1]


def test_benchmark_with_power_raises_or_says_that_it_fell_back():
    call = waiting_side().call
    with pytest.raises(RuntimeError), benchmark_with_power("cuda", call):
        pass
    with ExitStack() as body:
        with pytest.warns(RuntimeWarning, match="timed eagerly"):
            result = body.enter_context(benchmark_with_power("cuda", call, allow_graph_fail=True))
        assert result["used_cuda_graph"] is False
        assert result["latency_ms"] > 0


def test_a_side_in_inference_mode_and_one_without_can_both_be_captured(graphs):
    first = graphs(side_of(Small()))
    second = graphs(Side("plain", call=lambda: torch.ones(4, device="cuda") + 1))
    for graph in (first, second):
        graph.replay()
    with torch.inference_mode():
        second.replay()
    torch.cuda.synchronize()
    assert second.output.tolist() == [2.0] * 4
