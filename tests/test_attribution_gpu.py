"""Every kernel belongs to the region that launched it (pytest -m gpu)."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pyarrow.compute as pc
import pytest
import torch

from harness.record.cupti import CuptiRecorder
from harness.record.regions import region
from harness.trace.schema import OUTSIDE_NAME
from tests.gpu_support import ON_DEVICE, regions_of

pytestmark = ON_DEVICE


@pytest.fixture
def square():
    made = torch.randn(256, 256, device="cuda")
    made @ made
    made.relu(), made.tanh(), made.exp(), made.sigmoid()
    torch.cuda.synchronize()
    return made


def complete(recording):
    assert recording.trace.info.complete, recording.trace.info.incomplete
    return recording.trace


def test_work_outside_every_region_is_in_the_region_called_outside(square):
    with CuptiRecorder().record() as recording:
        square.relu()
        with region("mine"):
            square.tanh()
    trace = complete(recording)
    assert regions_of(trace) == [OUTSIDE_NAME, "mine"]
    assert len(trace.in_region(OUTSIDE_NAME)) == 1


def test_threads_and_streams_keep_their_regions_apart(square):
    start = threading.Barrier(4)

    @region("decorated")
    def decorated():
        square.tanh()

    def work(name):
        with torch.cuda.stream(torch.cuda.Stream()):
            start.wait()
            for _ in range(50):
                with region(name):
                    square.relu()
                decorated()

    threads = [threading.Thread(target=work, args=(f"t{at}",)) for at in range(4)]
    with CuptiRecorder().record() as recording:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        torch.cuda.synchronize()
    trace = complete(recording)
    assert Counter(regions_of(trace)) == {**{f"t{at}": 50 for at in range(4)}, "decorated": 200}
    by_stream = {}
    for name, stream in zip(regions_of(trace), trace.activities["stream"].to_pylist(), strict=True):
        by_stream.setdefault(stream, set()).add(name)
    assert sorted(map(len, by_stream.values())) == [2, 2, 2, 2]


def test_backward_kernels_belong_to_the_region_that_called_backward(square):
    weight = square.clone().requires_grad_()
    (weight @ square).sum().backward()
    with CuptiRecorder().record() as recording:
        with region("forward pass"):
            loss = (weight @ square).relu().sum()
        with region("backward pass"):
            loss.backward()
        square.relu()
    trace = complete(recording)
    counts = Counter(regions_of(trace))
    assert counts[OUTSIDE_NAME] == 1
    assert counts["backward pass"] >= 3
    ids = {row["id"] for row in trace.regions.to_pylist() if row["name"] == "backward pass"}
    threads = {row["thread"] for row in trace.calls.to_pylist() if row["region"] in ids}
    assert threads - {threading.get_native_id()}, "autograd launches on a thread of its own"


def test_triton_and_compiled_code_belong_to_their_regions(square):
    compiled = torch.compile(lambda x: (x.relu() * 2 + 1).sum(-1))
    compiled(square)
    torch.cuda.synchronize()
    with CuptiRecorder().record() as recording, region("compiled"):
        compiled(square)
    trace = complete(recording)
    assert set(regions_of(trace)) == {"compiled"}
    assert any("triton" in name for name in trace.activities["name"].to_pylist())


def of_graphs(trace):
    """Only what graphs launched: torch launches kernels of its own when a capture begins."""
    return replace(
        trace, activities=trace.activities.filter(pc.is_valid(trace.activities["graph"]))
    )


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = torch.nn.Linear(256, 256, device="cuda")
        self.mlp = torch.nn.Linear(256, 256, device="cuda")

    def forward(self, x):
        return self.mlp(torch.relu(self.self_attn(x)))


def test_module_paths_become_regions_and_the_hooks_are_gone_afterwards(square):
    model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([Layer(), Layer()])})

    def run():
        x = square
        for layer in model["layers"]:
            x = layer(x)

    run()
    with (
        CuptiRecorder().record() as recording,
        region.modules(model, ["layers.*.self_attn", "layers.1.mlp"]) as paths,
    ):
        run()
    trace = complete(recording)
    assert paths == ["layers.0.self_attn", "layers.1.self_attn", "layers.1.mlp"]
    assert set(regions_of(trace)) == {*paths, OUTSIDE_NAME}
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._forward_hooks_always_called


def captured(work):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def test_nodes_belong_to_the_region_of_their_capture_and_launches_to_that_of_the_replay(square):
    host = torch.empty(256, 256, pin_memory=True)
    out = torch.empty_like(square)

    def work():
        with region("first"):
            torch.sigmoid(square, out=out)
            out.zero_()
        with region("second"), region("inner"):
            host.copy_(out, non_blocking=True)
        torch.tanh(square, out=out)

    work()
    with CuptiRecorder().record() as recording:
        graph = captured(work)
        for _ in range(3):
            with region("replay"):
                graph.replay()
        graph.reset()
    trace = of_graphs(complete(recording))
    assert regions_of(trace) == ["first", "first", "inner", "replay"] * 3
    assert set(regions_of(trace, "launched_in")) == {"replay"}
    assert trace.info.notes == ()
    assert trace.info.perturbation["replays"] == 3


def test_a_graph_captured_before_the_recording_keeps_its_regions_when_it_was_watched(square):
    recorder = CuptiRecorder()
    with recorder.watch_captures(), region("layer"):
        graph = captured(lambda: (square.relu(), square.tanh()))
    for _ in range(2):
        with recorder.record() as recording, region("replay"):
            graph.replay()
        trace = complete(recording)
        assert regions_of(trace) == ["layer", "layer"]
        assert trace.info.notes == ()


def test_a_graph_captured_before_the_recording_is_noted(square):
    with region("layer"):
        graph = captured(lambda: (square.relu(), square.tanh()))
    with CuptiRecorder().record() as recording, region("replay"):
        graph.replay()
        graph.replay()
    trace = complete(recording)
    assert regions_of(trace) == ["replay"] * 4
    assert "captured before the recording" in trace.info.notes[0]


def test_a_backward_pass_in_a_graph_keeps_its_region(square):
    weight = square.clone().requires_grad_()

    def work():
        with region("step"):
            torch.autograd.grad((weight @ square).sum(), weight)

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        work()
    torch.cuda.synchronize()
    with CuptiRecorder().record() as recording:
        graph = captured(work)
        graph.replay()
    trace = complete(recording)
    assert set(regions_of(of_graphs(trace))) == {"step"}


def test_child_graphs_are_recorded_and_reported_as_not_attributable(square):
    driver = pytest.importorskip("cuda.bindings.driver")
    inner = torch.cuda.CUDAGraph(keep_graph=True)
    with CuptiRecorder().record() as recording:
        with torch.cuda.graph(inner), region("child"):
            square.relu()
            square.tanh()
        _, parent = driver.cuGraphCreate(0)
        driver.cuGraphAddChildGraphNode(parent, None, 0, driver.CUgraph(inner.raw_cuda_graph()))
        _, made = driver.cuGraphInstantiate(parent, 0)
        with region("replay"):
            for _ in range(2):
                driver.cuGraphLaunch(made, torch.cuda.current_stream().cuda_stream)
    trace = of_graphs(complete(recording))
    assert len(trace) == 4
    assert set(regions_of(trace)) == {"replay"}
    assert "does not announce" in "; ".join(trace.info.notes)


def test_bodies_of_conditional_nodes_are_recorded_and_make_the_trace_incomplete(square):
    driver = pytest.importorskip("cuda.bindings.driver")
    _, context = driver.cuCtxGetCurrent()
    _, graph = driver.cuGraphCreate(0)
    _, handle = driver.cuGraphConditionalHandleCreate(graph, context, 1, 1)
    params = driver.CUgraphNodeParams()
    params.type = driver.CUgraphNodeType.CU_GRAPH_NODE_TYPE_CONDITIONAL
    params.conditional.handle = handle
    params.conditional.type = driver.CUgraphConditionalNodeType.CU_GRAPH_COND_TYPE_IF
    params.conditional.size = 1
    params.conditional.ctx = context
    (status, _) = driver.cuGraphAddNode(graph, None, None, 0, params)
    assert status == driver.CUresult.CUDA_SUCCESS
    stream = torch.cuda.Stream()
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    with torch.cuda.stream(stream):
        body = params.conditional.phGraph_out[0]
        driver.cuStreamBeginCaptureToGraph(stream.cuda_stream, body, None, None, 0, mode)
        square.add_(0)
        driver.cuStreamEndCapture(stream.cuda_stream)
    _, made = driver.cuGraphInstantiate(graph, 0)
    with CuptiRecorder().record() as recording:
        driver.cuGraphLaunch(made, torch.cuda.current_stream().cuda_stream)
        torch.cuda.synchronize()
    trace = recording.trace
    assert len(trace) == 1
    assert "bodies of conditional nodes" in trace.info.incomplete[0]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two devices")
def test_two_devices_and_nccl_kernels_belong_to_their_regions():
    tensors = [torch.ones(1 << 20, device=f"cuda:{at}") for at in range(2)]
    torch.cuda.nccl.all_reduce(tensors)
    for at in range(2):
        torch.cuda.synchronize(at)
    with CuptiRecorder().record() as recording:
        with region("reduce"):
            torch.cuda.nccl.all_reduce(tensors)
        with region("other device"):
            tensors[1].relu()
    trace = complete(recording)
    rows = list(trace.rows())
    assert Counter(regions_of(trace)) == {"reduce": 2, "other device": 1}
    assert {row["device"] for row in rows} == {0, 1}
    assert sum("nccl" in row["name"] for row in rows) == 2
