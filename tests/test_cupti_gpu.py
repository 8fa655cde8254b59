"""CUPTI on a real device (pytest -m gpu)."""

from __future__ import annotations

import threading

import pytest
import torch

from harness.errors import InputError, RecorderBusyError
from harness.record.cupti import CuptiRecorder, library
from harness.record.cupti.layout import documented_sizes
from harness.record.cupti.session import pool
from harness.record.regions import region
from harness.record.state import has_traced
from tests.gpu_support import ON_DEVICE, python, regions_of

pytestmark = ON_DEVICE


@pytest.fixture
def square():
    made = torch.randn(256, 256, device="cuda")
    made @ made
    torch.cuda.synchronize()
    return made


def test_eager_kernels_belong_to_the_innermost_region(square):
    with region("before"), CuptiRecorder().record() as recording:
        with region("outer"):
            square.relu()
            with region("inner"):
                square.sigmoid()
            square.tanh()
        square.exp()
    trace = recording.trace
    assert trace.info.complete, trace.info.incomplete
    assert regions_of(trace) == ["outer", "inner", "outer", "before"]
    assert all(name.startswith("_Z") for name in trace.activities["name"].to_pylist())
    assert set(trace.calls["thread"].to_pylist()) == {threading.get_native_id()}
    assert has_traced()


def test_every_replay_gives_every_node_also_in_a_second_recording(square):
    out = torch.empty_like(square)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.mm(square, square, out=out)
        torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        torch.mm(square, square, out=out)
        out.relu_()
        out.add_(1)
    for _ in range(2):
        with CuptiRecorder().record() as recording, region("replay"):
            for _ in range(5):
                graph.replay()
        trace = recording.trace
        nodes = trace.activities["graph_node"].to_pylist()
        assert trace.info.complete, trace.info.incomplete
        assert None not in nodes
        assert len(set(nodes)) >= 3
        assert all(nodes.count(node) == 5 for node in set(nodes))
        assert set(regions_of(trace)) == {"replay"}


def test_copies_and_fills_are_recorded(square):
    host = torch.empty(1 << 20, dtype=torch.uint8, pin_memory=True)
    with CuptiRecorder().record() as recording:
        device = host.to("cuda", non_blocking=True)
        host.copy_(device)
    rows = recording.trace.activities.to_pylist()
    assert [(row["name"], row["bytes"]) for row in rows] == [("HtoD", 1 << 20), ("DtoH", 1 << 20)]
    assert recording.trace.info.complete


def test_an_exception_leaves_nothing_enabled(square):
    recorder = CuptiRecorder()
    kept = []

    def fail():
        with recorder.record() as recording:
            kept.append(recording)
            square.relu()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    recording = kept[0]
    assert len(recording.trace) == 1
    assert "ValueError" in recording.trace.info.incomplete[0]
    square.relu()
    torch.cuda.synchronize()
    library.load().flush()
    assert pool().collect() == []
    with CuptiRecorder().record() as second:
        square.relu()
    assert len(second.trace) == 1
    assert second.trace.info.complete


def test_the_own_launches_stay_out_of_an_empty_recording():
    with CuptiRecorder().record() as recording:
        pass
    assert (len(recording.trace), recording.trace.calls.num_rows) == (0, 0)
    assert recording.trace.info.complete


def test_recordings_do_not_nest():
    inner = CuptiRecorder().record()
    with CuptiRecorder().record(), pytest.raises(InputError, match="already open"):
        inner.__enter__()


def test_a_foreign_subscriber_is_a_busy_error():
    cupti = library.load()
    handle = cupti.subscribe()
    try:
        with pytest.raises(RecorderBusyError), CuptiRecorder().record():
            pass
    finally:
        cupti.unsubscribe(handle)
    with CuptiRecorder().record() as recording:
        pass
    assert recording.trace.info.complete


TORCH_PROFILER = """
import torch
from harness.errors import RecorderBusyError
from harness.record.cupti import CuptiRecorder
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
    try:
        CuptiRecorder().record().__enter__()
    except RecorderBusyError as error:
        print(error)
"""


def test_a_running_torch_profiler_is_a_busy_error():
    # In a process of its own: torch.profiler keeps CUPTI's subscription when it has stopped.
    done = python(TORCH_PROFILER)
    assert "torch.profiler is running" in done.stdout


def test_the_library_steps_over_records_as_its_headers_say():
    cupti = library.load()
    sizes = cupti.record_sizes()
    for kind, size in documented_sizes(cupti.version()).items():
        assert sizes[kind] == size


def test_twenty_thousand_records_are_decoded_quickly(square):
    with CuptiRecorder().record() as recording, region("many"):
        for _ in range(7000):
            square.add_(1)
    info = recording.trace.info
    assert info.complete, info.incomplete
    assert len(recording.trace) == 7000
    assert info.perturbation["records"] >= 20_000
    # Measured 0.2 to 0.4 µs; the wide margin is for a busy machine.
    assert info.perturbation["decode_us_per_record"] < 5


def test_a_hundred_recordings_in_one_process(square):
    for _ in range(100):
        with CuptiRecorder().record() as recording:
            square.relu()
        assert len(recording.trace) == 1
