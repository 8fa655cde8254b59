"""A Trace for ui.perfetto.dev: valid, exact, and read back as it was."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyze.gaps import gaps
from harness.errors import InputError, NoSignalError
from harness.record.files import read_trace_file
from harness.record.files.kineto import merge_ranks, read_kineto, read_kineto_ranks
from harness.record.regions import OUTSIDE_ROW
from harness.report.perfetto import write_perfetto
from harness.report.perfetto_lanes import flat_lanes, nested_lanes
from harness.trace import Trace, TraceInfo, activities_table, calls_table, regions_table
from tests.kineto_support import A100, B200, FILES, FOLDER, H100, ns

REPLAYS = FOLDER.with_name("nsys_h200_replays.parquet")
BASE = 1_751_410_836_000_000_001
MANGLED = "_ZN2at6native29vectorized_elementwise_kernelILi4EfEEvi"
NASTY = 'quote " backslash \\ newline \n tab \t brace },{ é \u2028 </script>'


@pytest.fixture(scope="module")
def invented():
    """Two processes on one device number, a graph replayed twice, overlap, odd names and ranges."""

    def kernel(start, end, process=1, stream=7, correlation=1, name=MANGLED, **more):
        times = {"start_ns": BASE + start, "end_ns": BASE + end}
        place = {"process": process, "device": 0, "context": 1, "stream": stream}
        return {
            "kind": "kernel",
            "name": name,
            "correlation": correlation,
            **times,
            **place,
            **more,
        }

    configuration = {
        "grid": [5, 6, 7], "block": [128, 1, 1], "cluster": [2, 1, 1], "registers": 32,
        "shared_static_bytes": 16, "shared_dynamic_bytes": 1024, "region": 1,
    }  # fmt: skip
    activities = [
        kernel(100, 201, **configuration),
        kernel(150, 300, process=2, name=NASTY, region=0),
        kernel(190, 400, correlation=2, stream=7, name="overlaps"),
        kernel(500, 501, correlation=3, graph=4, graph_node=(4 << 32) + 1, launched_in=2),
        kernel(505, 600, correlation=3, graph=4, graph_node=(4 << 32) + 2, launched_in=2),
        kernel(700, 701, correlation=5, graph=4, graph_node=(4 << 32) + 1),
        kernel(800, 800, correlation=None, name="empty"),
        {**kernel(900, 950, correlation=6, name="UVM HtoD"), "kind": "memcpy", "bytes": 64},
        {**kernel(960, 970, correlation=7, name="memset"), "kind": "memset", "value": 0},
        {**kernel(980, 999, correlation=8, name="graph 4"), "kind": "graph", "graph": 4},
        {"kind": "op", "name": "aten::add.Tensor"},
    ]
    calls = [
        _call("cudaLaunchKernel", 0, 9, 1),
        _call("cuLaunchKernel", 2, 8, 1),
        _call("cudaGraphLaunch", 20, 30, 3),
        {**_call("cudaLaunchKernel", 3, 5, 1), "process": 2, "thread": 1 << 40},
    ]
    regions = [
        dict(OUTSIDE_ROW),
        _region(1, "a", -50, 12, style="PushPop"),
        _region(2, NASTY, 5, 40, style="StartEnd"),
        _region(3, "open", 45, None),
        _region(4, "m", 1, None, style="Mark"),
        _region(5, "any", 0, 5, thread=None),
    ]
    info = TraceInfo("cupti", gpu={"name": "NVIDIA H200"}, notes=(NASTY,))
    return Trace(activities_table(activities), info, regions_table(regions), calls_table(calls))


def _call(name, start, end, correlation):
    row = {"name": name, "correlation": correlation, "process": 1, "thread": 11, "return_code": 0}
    return {**row, "start_ns": BASE + start, "end_ns": BASE + end}


def _region(number, name, start, end, **more):
    row = {"id": number, "name": name, "process": 1, "thread": 11, "domain": "d"}
    return {**row, "start_ns": BASE + start, "end_ns": None if end is None else BASE + end, **more}


@pytest.fixture(
    scope="module", params=[*FILES, REPLAYS, None], ids=lambda path: path and path.name[:14]
)
def trace(request, invented):
    return invented if request.param is None else read_trace_file(request.param)


@pytest.fixture
def exported(trace, tmp_path):
    path = write_perfetto(trace, tmp_path / "trace.json")
    return path, json.loads(path.read_text(), parse_float=str, parse_int=int)


KERNEL_COLUMNS = [
    "kind", "name", "start_ns", "end_ns", "process", "device", "context", "stream", "correlation",
    "graph", "graph_node", "grid", "block", "cluster", "shared_static_bytes",
    "shared_dynamic_bytes", "registers",
]  # fmt: skip


def test_our_reader_reads_the_same_kernels_back(trace, exported):
    back = read_trace_file(exported[0])
    for kinds in (("kernel",), ("memcpy", "memset")):
        columns = [*KERNEL_COLUMNS, "bytes", "value"]
        before = trace.of_kind(*kinds).activities.select(columns).to_pylist()
        assert back.of_kind(*kinds).activities.select(columns).to_pylist() == before
    assert back.calls.num_rows == trace.calls.num_rows


def test_every_event_is_one_of_the_trace_event_format(exported):
    document = exported[1]
    assert document["displayTimeUnit"] == "ns"
    for event in document["traceEvents"]:
        assert event["ph"] in "XMsfCi"
        assert type(event["pid"]) is int
        assert type(event["tid"]) is int
        assert 0 <= event["pid"] < 1 << 31 > event["tid"] >= 0
        assert ns(event["ts"]) >= 0
        assert isinstance(event["name"], str)
        if event["ph"] == "X":
            assert ns(event["dur"]) >= 0
            assert isinstance(event["cat"], str)
            assert isinstance(event["args"], dict)
        assert ("dur" in event) == (event["ph"] == "X")
        assert ("id" in event) == (event["ph"] in "sf")


def test_slices_of_a_row_nest_or_lie_apart(exported):
    rows = defaultdict(list)
    for event in exported[1]["traceEvents"]:
        if event["ph"] == "X":
            start = ns(event["ts"])
            rows[event["pid"], event["tid"]].append((start, start + ns(event["dur"]), event["cat"]))
    for slices in rows.values():
        opened = []
        for start, end, category in sorted(slices, key=lambda one: (one[0], -one[1])):
            while opened and opened[-1] <= start:
                opened.pop()
            assert not opened or end <= opened[-1]
            assert not opened or category in ("cuda_runtime", "user_annotation")
            opened.append(end)


def test_every_row_has_a_name(exported):
    events = exported[1]["traceEvents"]
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    processes = {e["pid"] for e in events if e["name"] == "process_name"}
    for event in events:
        assert event["pid"] in processes
        assert event["ph"] in "MC" or (event["pid"], event["tid"]) in named


def test_arrows_lead_from_a_call_to_the_first_thing_it_launched(trace, exported):
    events = exported[1]["traceEvents"]
    ends = {phase: {e["id"]: e for e in events if e["ph"] == phase} for phase in "sf"}
    assert ends["s"].keys() == ends["f"].keys()
    assert len(ends["s"]) == sum(e["ph"] == "s" for e in events)
    slices = {(e["pid"], e["tid"], e["ts"], e["cat"] == "cuda_runtime"): e
              for e in events if e["ph"] == "X"}  # fmt: skip
    for number, start in ends["s"].items():
        end = ends["f"][number]
        call = slices[start["pid"], start["tid"], start["ts"], True]
        work = slices[end["pid"], end["tid"], end["ts"], False]
        assert call["args"]["correlation"] == work["args"]["correlation"]
    launched = {(row["process"], row["correlation"]) for row in trace.calls.to_pylist()}
    active = {
        (row["process"], row["correlation"])
        for row in trace.activities.to_pylist()
        if row["correlation"] is not None
    }
    assert len(ends["s"]) == len(launched & active)


def test_gaps_are_the_idle_time_of_each_device(tmp_path):
    trace = merge_ranks(read_kineto_ranks([A100, B200]))
    events = json.loads(write_perfetto(trace, tmp_path / "t.json").read_text(), parse_float=str)
    idle = Counter()
    for event in events["traceEvents"]:
        if event.get("cat") == "gap":
            idle[event["pid"]] += ns(event["dur"])
    assert sorted(idle.values()) == sorted(one.idle_union_ns for one in gaps(trace).devices)


def test_graphs_are_shown_per_launch_and_overlap_as_a_counter(invented, tmp_path):
    path = write_perfetto(invented, tmp_path / "trace.json")
    events = json.loads(path.read_text(), parse_float=str)["traceEvents"]
    graphs = [e for e in events if e.get("cat") == "graph_launch"]
    assert [(e["args"]["nodes"], ns(e["dur"])) for e in graphs] == [(2, 100), (1, 1), (1, 19)]
    running = [e["args"]["kernels"] for e in events if e["ph"] == "C"]
    assert max(running) == 2
    assert running[-1] == 0
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {"stream 7", "stream 7 (2)", "CUDA graphs", "gaps: no kernel runs"} <= names
    assert {"thread 11", "thread 11 (2)", "no single thread", f"thread {1 << 40}"} <= names


def test_names_out_of_a_file_stay_data(invented, tmp_path):
    path = write_perfetto(invented, tmp_path / "trace.json")
    document = json.loads(path.read_text())
    assert document["otherData"]["notes"] == [NASTY]
    assert sum(e["name"] == NASTY for e in document["traceEvents"]) == 1  # the region
    symbols = [e.get("args", {}).get("symbol") for e in document["traceEvents"]]
    assert NASTY in symbols


def test_a_name_that_ends_in_gz_is_zipped(tmp_path):
    trace = read_kineto(H100)
    plain = write_perfetto(trace, tmp_path / "a.json")
    zipped = write_perfetto(trace, tmp_path / "a.json.gz")
    assert gzip.decompress(zipped.read_bytes()) == plain.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.json", "a.json.gz"]


def test_a_trace_without_times_is_refused_and_leaves_no_file(tmp_path):
    ops = activities_table([{"kind": "op", "name": "aten::add.Tensor"}])
    with pytest.raises(NoSignalError, match="none of the 1 activities"):
        write_perfetto(Trace(ops, TraceInfo("dispatch")), tmp_path / "a.json")
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_a_wrong_input(invented, tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_perfetto(invented, tmp_path / "none" / "a.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write"):
        write_perfetto(invented, tmp_path / "folder")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), min_size=1))
def test_lanes_hold_no_overlap_and_no_crossing(spans):
    starts = np.array(sorted(start for start, _ in spans), np.int64)
    ends = starts + np.array([length for _, length in spans], np.int64)
    lanes = flat_lanes(starts, ends)
    for lane in set(lanes.tolist()):
        mine = lanes == lane
        assert (starts[mine][1:] >= ends[mine][:-1]).all()
    ordered = sorted(zip(starts.tolist(), ends.tolist(), strict=True), key=lambda s: (s[0], -s[1]))
    nested = nested_lanes(*zip(*ordered, strict=True))
    for i, (start, end) in enumerate(ordered):
        for j, (other_start, other_end) in enumerate(ordered[:i]):
            if nested[i] == nested[j]:
                assert start >= other_end or (other_start <= start and end <= other_end)
