"""Traces that torch.profiler wrote become Traces."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.readers_kineto_file import replicate
from harness.analyze.gaps import gaps
from harness.analyze.summaries import kernel_summary
from harness.errors import InputError
from harness.record.files import read_trace_file
from harness.record.files.kineto import (
    merge_ranks,
    read_kineto,
    read_kineto_rank,
    read_kineto_ranks,
)
from harness.record.files.kineto.times import nanoseconds
from harness.record.kineto import make_trace
from harness.trace.schema import OUTSIDE
from tests.kineto_support import (
    A100,
    B200,
    EXCERPT,
    EXPECTED,
    FILES,
    H100,
    Figures,
    content,
    document,
    event,
    ns,
    plain_figures,
    written,
)


def ids(path):
    return path.name.split(".")[0]


@pytest.fixture(scope="module")
def traces():
    return {path: read_kineto(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_figures_are_those_computed_without_this_reader(path, traces):
    found = gaps(traces[path], naive=True)
    longest = kernel_summary(traces[path]).slice(0, 1).to_pylist()[0]
    figures = Figures(
        found.overall.kernels,
        found.streams.num_rows,
        found.overall.total_kernel_ns,
        found.overall.wall_ns,
        found.overall.idle_union_ns,
        found.overall.gap_naive_ns,
        (longest["Name"], longest["Instances"], longest["Total Time (ns)"]),
    )
    assert figures == plain_figures(path)
    known = EXPECTED[path]
    name, count, total = known.longest
    assert replace(figures, longest=known.longest) == known
    assert figures.longest[0].startswith(name)
    assert figures.longest[1:] == (count, total)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_every_kernel_is_read_with_its_launch_configuration_to_the_nanosecond(path, traces):
    whole = document(path)
    base = whole.get("baseTimeNanoseconds", 0)
    events = {e["args"]["correlation"]: e for e in whole["traceEvents"] if e.get("cat") == "kernel"}
    rows = traces[path].of_kind("kernel").activities.to_pylist()
    assert len(rows) == len(events)
    for row in rows:
        one = events[row["correlation"]]
        args = one["args"]
        assert row["name"] == one["name"]
        assert row["start_ns"] == base + ns(one["ts"])
        assert row["end_ns"] == base + ns(one["ts"]) + ns(one["dur"])
        assert (row["grid"], row["block"]) == (args["grid"], args["block"])
        assert row["registers"] == args["registers per thread"]
        assert row["shared_dynamic_bytes"] == args["shared memory"]
        assert [row[key] for key in ("device", "context", "stream")] == [
            args[key] for key in ("device", "context", "stream")
        ]
    starts = traces[path].activities["start_ns"].to_pylist()
    assert starts == sorted(starts)


def test_copies_and_fills_have_bytes_and_the_direction_as_name(traces):
    copies = traces[B200].of_kind("memcpy").activities.to_pylist()
    assert {row["name"] for row in copies} == {"HtoD", "DtoD"}
    events = [e for e in document(B200)["traceEvents"] if e.get("cat") == "gpu_memcpy"]
    assert sum(row["bytes"] for row in copies) == sum(e["args"]["bytes"] for e in events)
    fills = traces[H100].of_kind("memset").activities
    assert set(fills["name"].to_pylist()) == {"memset"}


def test_calls_of_runtime_and_driver_are_read_with_thread_and_process(traces):
    calls = traces[B200].calls.to_pylist()
    assert len(calls) == 1372
    assert {"cuLaunchKernelEx", "cudaMemcpyAsync"} <= {row["name"] for row in calls}
    assert {(row["process"], row["thread"]) for row in calls} == {(6583, 6583)}


def test_annotations_are_regions_that_own_what_was_launched_in_them(traces):
    regions = {row["id"]: row for row in traces[B200].regions.to_pylist()}
    names = [row["name"] for row in regions.values()]
    assert "nccl:_all_gather_base" in names
    for row in regions.values():
        if row["parent"] is not None:
            assert regions[row["parent"]]["start_ns"] <= row["start_ns"]
    (kernel,) = traces[B200].in_region("nccl:_all_gather_base").activities.to_pylist()
    assert kernel["name"].startswith("nccl")


def test_what_has_no_recorded_call_belongs_to_no_known_region(traces):
    info = traces[H100].info
    assert info.unattributed == 509
    assert info.incomplete == ("509 activities have no recorded launch call",)
    assert traces[H100].activities["region"].null_count == 509
    assert traces[A100].info.complete


def test_the_file_says_which_gpu_and_versions_it_is_of(traces):
    assert traces[A100].info.gpu["index"] == 3
    assert traces[A100].info.gpu["name"] == "NVIDIA A100-PG509-200"
    assert traces[B200].info.gpu["capability"] == "10.0"
    assert traces[H100].info.versions == {
        "cupti": "22", "cuda_runtime": "12040", "cuda_driver": "12090"
    }  # fmt: skip
    assert any("whole µs" in note for note in traces[A100].info.notes)
    assert any("three decimals" in note for note in traces[H100].info.notes)
    assert any("15230 python_function" in note for note in traces[B200].info.notes)


def test_aten_calls_and_python_functions_become_regions_on_request():
    trace = read_kineto(B200, ranges=("user_annotation", "cpu_op", "python_function"))
    domains = trace.regions["domain"].to_pylist()
    assert domains.count("cpu_op") == 4809
    assert domains.count("python_function") == 15230
    names = dict(
        zip(trace.regions["id"].to_pylist(), trace.regions["name"].to_pylist(), strict=True)
    )
    owners = {names[one] for one in trace.activities["region"].to_pylist()}
    assert "aten::copy_" in owners
    with pytest.raises(InputError, match="kernels"):
        read_kineto(B200, ranges=("kernels",))


def test_plain_and_zipped_files_read_alike_also_through_the_common_reader(tmp_path, traces):
    path = tmp_path / "trace"  # told by its content
    path.write_bytes(b"\xef\xbb\xbf" + content(H100))
    plain = read_kineto(path)
    assert plain.activities.equals(traces[H100].activities)
    assert read_trace_file(H100).activities.equals(plain.activities)


def test_graph_nodes_belong_to_the_region_of_the_launch_and_to_none_of_the_capture(tmp_path):
    events = [
        event("user_annotation", "step", 0, 50),
        event("cuda_runtime", "cudaGraphLaunch", 10, 5, correlation=1),
        *(
            event("kernel", f"k{node}", 20 + node, 1, correlation=1, **{"graph id": 7,
                  "graph node id": (7 << 32) + node, "grid": [1, 1, 1]})
            for node in (1, 2)
        ),
        event("cuda_runtime", "cudaLaunchKernel", 30, 1, correlation=2),
        event("kernel", "eager", 40, 1, correlation=2, **{"graph id": 0, "graph node id": 0}),
    ]  # fmt: skip
    rows = read_kineto(written(tmp_path, events)).activities.to_pylist()
    assert [(row["graph"], row["graph_node"]) for row in rows] == [
        (7, (7 << 32) + 1), (7, (7 << 32) + 2), (None, None)
    ]  # fmt: skip
    assert [(row["region"], row["launched_in"]) for row in rows] == [
        (None, 1),
        (None, 1),
        (1, None),
    ]


def test_categories_of_torch_1_8_and_copies_between_devices_are_known(tmp_path):
    events = [
        event("Runtime", "cudaLaunchKernel", correlation=3, **{"external id": 1}),
        event("Kernel", "k", 5, correlation=3, device=0, stream=7),
        event("Memcpy", "Memcpy PtoP (Device -> Device)", 7, inDevice=2, toDevice=1, inContext=4),
        event("Memset", "Memset (Device)", 9, device=0),
    ]
    rows = read_kineto(written(tmp_path, events)).activities.to_pylist()
    assert [row["kind"] for row in rows] == ["kernel", "memcpy", "memset"]
    assert rows[0]["process"] == 9
    assert (rows[1]["name"], rows[1]["device"], rows[1]["context"]) == ("PtoP", 2, 4)
    assert rows[1]["region"] is None


def test_a_call_of_another_process_with_the_same_correlation_id_decides_nothing(tmp_path):
    events = [
        event("cuda_runtime", "cudaLaunchKernel", 1, correlation=1),
        {**event("cuda_runtime", "cudaLaunchKernel", 1, correlation=1), "pid": 10},
        {**event("cuda_runtime", "cudaLaunchKernel", 1, correlation=2), "pid": 10},
        event("kernel", "either", 5, correlation=1),
        event("kernel", "one", 6, correlation=2),
    ]
    trace = read_kineto(written(tmp_path, events))
    assert trace.activities["process"].to_pylist() == [None, 10]
    assert trace.activities["region"].to_pylist() == [None, OUTSIDE]
    assert "several processes" in " ".join(trace.info.incomplete)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1428625731896.179", 1428625731896179),
        ("1751410836000000.001", 1751410836000000001),  # no double has this value
        ("1661203462598738", 1661203462598738000),
        ("0.7", 700),
        ("1.0005", 1000),
        ("1.0015", 1002),
        ("-2.5", -2500),
        ("1.5e3", 1500000),
        ('"12.25"', 12250),
    ],
)
def test_times_are_exact(text, expected):
    assert nanoseconds(text.encode()) == expected


def test_absolute_times_with_decimals_are_exact(tmp_path):
    path = tmp_path / "trace.json"
    kernel = json.dumps(event("kernel", ts=0)).replace('"ts": 0', '"ts": 1751410836000000.001')
    path.write_text(f'{{"displayTimeUnit": "ns", "traceEvents": [{kernel}]}}')
    assert read_kineto(path).activities["start_ns"].to_pylist() == [1751410836000000001]


def test_the_reader_agrees_with_the_live_recorder_on_the_same_events():
    live = make_trace(json.loads(EXCERPT.read_text()), [])
    trace = read_kineto(EXCERPT)
    told = ["process", "region", "launched_in"]  # the live recorder knows its own process
    for name, differ in (("activities", told), ("calls", ["region"])):
        mine, theirs = (getattr(one, name).drop_columns(differ) for one in (trace, live))
        assert mine.to_pylist() == theirs.to_pylist()
    assert trace.info.unattributed == live.info.unattributed
    assert trace.info.incomplete == live.info.incomplete


def test_the_trace_that_benchmarks_repeat_keeps_every_figure(tmp_path, traces):
    path = tmp_path / "trace.json"
    replicate(H100, path, 2)
    twice, once = read_kineto(path), traces[H100]
    found, alone = gaps(twice).overall, gaps(once).overall
    assert found.kernels == 2 * alone.kernels
    assert found.total_kernel_ns == 2 * alone.total_kernel_ns
    kernels = alone.kernels
    assert (
        twice.of_kind("kernel")
        .slice(0, kernels)
        .activities.equals(once.of_kind("kernel").activities)
    )
    assert twice.info.unattributed == 2 * once.info.unattributed


def test_ranks_are_read_in_order_and_keep_their_number():
    found = read_kineto_ranks([A100, B200, H100])
    assert [(one.rank, one.world_size) for one in found] == [(0, 8), (3, 8), (None, None)]
    assert read_kineto_rank(A100).rank == 3
    with pytest.raises(InputError, match="both of rank 3"):
        read_kineto_ranks([A100, B200, A100])


def test_merged_ranks_hold_every_row_once_and_tell_processes_apart():
    ranks = read_kineto_ranks([A100, B200])
    trace = merge_ranks(ranks)
    for name in ("activities", "calls"):
        assert getattr(trace, name).num_rows == sum(
            getattr(one.trace, name).num_rows for one in ranks
        )
    assert trace.activities["start_ns"].to_pylist() == sorted(
        trace.activities["start_ns"].to_pylist()
    )
    region_ids = trace.regions["id"].to_pylist()
    assert len(set(region_ids)) == len(region_ids)
    alone = ranks[0].trace.in_region("nccl:_all_gather_base").activities
    together = trace.in_region("nccl:_all_gather_base").activities
    assert together["start_ns"].to_pylist() == alone["start_ns"].to_pylist()
    assert together["grid"].to_pylist() == alone["grid"].to_pylist()
    assert "process 6583 is rank 0" in trace.info.notes


def test_ranks_with_the_same_process_id_get_their_rank_as_process():
    one = read_kineto_rank(A100)
    trace = merge_ranks([one, replace(one, rank=5)])
    assert set(trace.activities["process"].to_pylist()) == {3, 5}
    assert set(trace.calls["process"].to_pylist()) == {3, 5}
    assert any("ids are ranks" in note for note in trace.info.notes)


def test_ranks_with_the_same_device_number_are_told_apart_by_process_and_a_note_says_so():
    one, other = read_kineto_rank(A100), read_kineto_rank(B200)
    (mine,) = {*one.trace.activities["device"].to_pylist()} - {None}
    (theirs,) = {*other.trace.activities["device"].to_pylist()} - {None}
    note = f"several ranks use device number {mine} and may each mean another GPU"
    trace = merge_ranks([one, replace(one, rank=5)])
    assert any(said.startswith(note) for said in trace.info.notes)
    assert [(idle.device, idle.process) for idle in gaps(trace).devices] == [(mine, 3), (mine, 5)]
    same = any("several ranks" in said for said in merge_ranks([one, other]).info.notes)
    assert same == (mine == theirs)
