"""torch.profiler's trace becomes a Trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from harness.errors import MissingDeviceError, RecorderBusyError
from harness.record.kineto import KinetoRecorder, export, make_trace, profiled
from harness.record.regions import region
from harness.trace.schema import OUTSIDE, OUTSIDE_NAME

DATA = Path(__file__).parent / "data" / "kineto_h100_excerpt.json"
CPU = [torch.profiler.ProfilerActivity.CPU]


@pytest.fixture
def document():
    return json.loads(DATA.read_text())


def test_real_events_become_rows_with_their_launch_configuration(document):
    trace = make_trace(document, [])
    events = {e["args"]["correlation"]: e for e in document["traceEvents"] if e["cat"] == "kernel"}
    rows = trace.of_kind("kernel").activities.to_pylist()
    assert len(rows) == len(events)
    for row in rows:
        event = events[row["correlation"]]
        assert row["name"] == event["name"]
        assert row["grid"] == event["args"]["grid"]
        assert row["registers"] == event["args"]["registers per thread"]
        assert row["end_ns"] - row["start_ns"] == pytest.approx(event["dur"] * 1000, abs=1)
    starts = trace.activities["start_ns"].to_pylist()
    assert starts == sorted(starts)
    assert starts[0] > document["baseTimeNanoseconds"]


def test_copies_and_fills_are_named_as_by_the_other_recorders(document):
    trace = make_trace(document, [])
    assert set(trace.of_kind("memcpy").activities["name"].to_pylist()) == {"DtoH"}
    assert set(trace.of_kind("memset").activities["name"].to_pylist()) == {"memset"}


def test_activities_without_a_launch_call_make_it_incomplete(document):
    info = make_trace(document, []).info
    assert info.unattributed == 2
    assert "2 activities" in info.incomplete[0]
    assert info.dropped_records is None
    assert any("demangled" in note for note in info.notes)


def test_activities_belong_to_the_innermost_region_of_their_call():
    def event(cat, name, ts, dur, tid=1, **args):
        return {
            "ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "pid": 1, "tid": tid,
            "args": args,
        }  # fmt: skip

    document = {
        "traceEvents": [
            event("user_annotation", "harness.region 1", 10, 80),
            event("user_annotation", "harness.region 2", 20, 10),
            event("user_annotation", "ProfilerStep#1", 0, 100),
            *(
                event("cuda_runtime", "cudaLaunchKernel", ts, 1, tid, correlation=ts)
                for ts, tid in ((5, 1), (15, 1), (25, 1), (50, 1), (26, 2))
            ),
            *(
                event("kernel", "k", 200 + ts, 1, correlation=ts, grid=[1, 1, 1], block=[1, 1, 1])
                for ts in (5, 15, 25, 50, 26)
            ),
        ]
    }
    trace = make_trace(document, [])
    found = dict(
        zip(
            trace.activities["correlation"].to_pylist(),
            trace.activities["region"].to_pylist(),
            strict=True,
        )
    )
    assert found == {5: OUTSIDE, 15: 1, 25: 2, 50: 1, 26: OUTSIDE}


def test_regions_are_shown_to_torch_profiler_also_those_already_open():
    with region("outer"), profiled(CPU) as (profiler, log), region("inner"):
        torch.ones(4).add_(1)
    names = {e.get("name") for e in export(profiler)["traceEvents"]}
    assert [row["name"] for row in log.rows] == [OUTSIDE_NAME, "outer", "inner"]
    assert {f"harness.region {row['id']}" for row in log.rows[1:]} <= names


def test_a_second_profile_inside_is_refused():
    with profiled(CPU), pytest.raises(RecorderBusyError, match="running"), profiled(CPU):
        pass


def test_it_needs_a_cuda_device():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(MissingDeviceError, match="kineto"), KinetoRecorder().record():
        pass
