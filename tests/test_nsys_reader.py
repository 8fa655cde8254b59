"""Exports of Nsight Systems of every schema become Traces with the figures that are in them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow.compute as pc
import pytest

from harness.analyze.gaps import gaps
from harness.errors import HarnessError, InputError, NoSignalError, TraceFormatError
from harness.names import display_name
from harness.record.files import read_trace_file
from harness.record.files.nsys import read_nsys_sqlite
from harness.record.files.nsys.innermost import OPEN, Ranges
from harness.trace import read_trace, write_trace
from tests.nsys_files import (
    EXPECTED,
    GRAPH_NODES,
    GRAPH_TRACE,
    NO_KERNELS,
    TWO_GPUS,
    WITH_KERNELS,
    changed,
    export,
)

KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"


@pytest.fixture(params=WITH_KERNELS)
def each(request, tmp_path):
    """Name and Trace of every export with kernels."""
    return request.param, read_nsys_sqlite(export(request.param, tmp_path))


def kernels(trace):
    return trace.of_kind("kernel").activities


def durations(table):
    return pc.subtract(table["end_ns"], table["start_ns"])


def paths(trace):
    """Region id -> names of the region and those around it, outermost first."""
    rows = {row["id"]: row for row in trace.regions.to_pylist()}

    def path(one):
        row = rows[one]
        above = () if row["parent"] is None else path(row["parent"])
        return (*above, row["name"])

    return {one: path(one) for one in rows}


def test_count_total_and_wall_of_every_export_are_the_expected_ones(each):
    name, trace = each
    found = kernels(trace)
    wall = pc.max(found["end_ns"]).as_py() - pc.min(found["start_ns"]).as_py()
    assert found.num_rows == EXPECTED[name]["kernels"]
    assert pc.sum(durations(found)).as_py() == EXPECTED[name]["total_kernel_ns"]
    assert wall == EXPECTED[name]["wall_ns"]


def test_idle_time_and_naive_gap_of_every_export_are_the_expected_ones(each):
    name, trace = each
    found = gaps(trace, naive=True)
    expected = EXPECTED[name]
    assert found.overall.idle_union_ns == expected["idle_union_global_ns"]
    assert found.overall.gap_naive_ns == expected["gap_naive_global_ns"]
    if "idle_union_per_device_ns" in expected:
        idle = {str(one.device): one.idle_union_ns for one in found.devices}
        busy = {str(one.device): one.busy_union_ns for one in found.devices}
        naive = {str(one.device): one.gap_naive_ns for one in found.devices}
        assert idle == expected["idle_union_per_device_ns"]
        assert busy == expected["busy_union_per_device_ns"]
        assert naive == expected["gap_naive_per_device_ns"]


def test_the_five_longest_kernels_of_every_export_are_the_expected_ones(each):
    name, trace = each
    sums, counts = Counter(), Counter()
    found = kernels(trace)
    for one, time in zip(found["name"].to_pylist(), durations(found).to_pylist(), strict=True):
        sums[one] += time
        counts[one] += 1
    total = Counter()
    for one, time in sums.items():
        total[bare(one)] += time
    for short, count, time in EXPECTED[name].get("top5", ()):
        assert total[short] == time
        assert sum(counts[one] for one in sums if bare(one) == short) == count


def bare(name):
    """The function's own name, as nsys shortens it."""
    shown = display_name(name, width=100_000)
    return shown.split("<")[0].split("(")[0].split("::")[-1]


def test_activities_are_in_start_order_and_the_tables_are_sound(each):
    _, trace = each
    starts = trace.activities["start_ns"].to_numpy()
    assert (np.diff(starts) >= 0).all()
    for table in (trace.activities, trace.regions, trace.calls):
        table.validate(full=True)


def test_a_trace_of_an_export_survives_being_written_and_read(each, tmp_path):
    _, trace = each
    again = read_trace(write_trace(trace, tmp_path / "trace.parquet"))
    assert again.activities.to_pylist() == trace.activities.to_pylist()
    assert again.info == trace.info


def test_kernels_of_graphs_are_put_to_the_layer_in_which_they_were_captured(tmp_path):
    trace = read_nsys_sqlite(export(GRAPH_NODES, tmp_path))
    path = paths(trace)
    nodes = kernels(trace).filter(pc.is_valid(kernels(trace)["graph_node"]))
    assert nodes.num_rows == EXPECTED[GRAPH_NODES]["graph_node_kernels"]
    assert len(nodes["graph_node"].unique()) == EXPECTED[GRAPH_NODES]["distinct_graph_nodes"]
    captured = Counter(path[one] for one in nodes["region"].to_pylist())
    # 23 replays each; the argmax kernel that ends a step is outside the layer
    assert captured == {
        ("decode_capture", "layers.0.self_attn"): 66 * 23,
        ("decode_capture",): 23,
        ("prefill_capture", "layers.0.self_attn"): 64 * 23,
        ("prefill_capture",): 23,
    }


def test_kernels_of_graphs_also_say_in_which_step_the_graph_was_launched(tmp_path):
    trace = read_nsys_sqlite(export(GRAPH_NODES, tmp_path))
    path = paths(trace)
    nodes = kernels(trace).filter(pc.is_valid(kernels(trace)["graph_node"]))
    launched = Counter(path[one] for one in nodes["launched_in"].to_pylist())
    assert launched[("decode_replay", "step 7")] == 67
    assert launched[("prefill_replay", "step 19")] == 65
    assert launched[("<outside>",)] == 3 * (67 + 65)  # the warm-ups


def test_eager_kernels_are_in_the_innermost_range_around_their_launch(tmp_path):
    trace = read_nsys_sqlite(export(GRAPH_NODES, tmp_path))
    path = paths(trace)
    eager = kernels(trace).filter(pc.is_null(kernels(trace)["graph_node"]))
    found = Counter(path[one] for one in eager["region"].to_pylist())
    assert found[("decode_eager", "step 1", "layers.0.self_attn")] == 66
    assert found[("decode_eager", "step 1")] == 1


def test_graph_ids_are_those_of_the_executable_graphs(tmp_path):
    trace = read_nsys_sqlite(export(GRAPH_NODES, tmp_path))
    found = trace.activities.filter(pc.is_valid(trace.activities["graph_node"]))
    pairs = zip(found["graph"].to_pylist(), found["graph_node"].to_pylist(), strict=True)
    assert all(graph == node >> 32 for graph, node in pairs)
    assert pc.all(
        pc.is_null(kernels(trace)["graph"]).filter(pc.is_null(kernels(trace)["graph_node"]))
    ).as_py()


def test_whole_graph_launches_are_rows_of_their_own(tmp_path):
    trace = read_nsys_sqlite(export(GRAPH_TRACE, tmp_path))
    graphs = trace.of_kind("graph").activities
    assert graphs["name"].to_pylist() == ["graph 1", "graph 1"]
    assert graphs["graph"].to_pylist() == [2, 2]
    expected = EXPECTED[GRAPH_TRACE]["with_graph_trace_rows"]
    both = trace.of_kind("kernel", "graph").activities
    assert pc.sum(durations(both)).as_py() == expected["busy_ns"]
    assert gaps(trace).overall.idle_union_ns == EXPECTED[GRAPH_TRACE]["idle_union_global_ns"]


def test_calls_and_copies_keep_what_the_export_says(tmp_path):
    trace = read_nsys_sqlite(export(GRAPH_NODES, tmp_path))
    assert trace.calls.num_rows == 4180
    assert set(trace.calls["process"].to_pylist()) == {634}
    assert set(trace.calls["return_code"].to_pylist()) == {0}
    copies = trace.of_kind("memcpy").activities
    assert set(copies["name"].to_pylist()) <= {"HtoD", "DtoH", "DtoD"}
    assert pc.min(copies["bytes"]).as_py() > 0
    assert set(trace.of_kind("memset").activities["value"].to_pylist()) == {0}


def test_launch_configurations_are_read_as_dim3(tmp_path):
    trace = read_nsys_sqlite(export(GRAPH_TRACE, tmp_path))
    row = kernels(trace).slice(0, 1).to_pylist()[0]
    assert (row["grid"], row["block"], row["cluster"]) == ([4, 1, 1], [256, 1, 1], [0, 0, 0])
    assert (row["registers"], row["shared_static_bytes"]) == (16, 0)


def test_two_processes_keep_their_ids_and_joins_do_not_mix_them(tmp_path):
    trace = read_nsys_sqlite(export(TWO_GPUS, tmp_path))
    assert len(set(kernels(trace)["process"].to_pylist())) == 2
    region = dict(
        zip(trace.regions["id"].to_pylist(), trace.regions["process"].to_pylist(), strict=True)
    )
    for row in kernels(trace).select(["process", "region"]).to_pylist():
        assert row["region"] in (None, 0) or region[row["region"]] == row["process"]
    assert trace.info.unattributed == 2276  # launched before the file's one second


def test_one_process_of_several_can_be_asked_for(tmp_path):
    path = export(TWO_GPUS, tmp_path)
    whole = read_trace_file(path)
    process = whole.activities["process"][0].as_py()
    mine = read_trace_file(path, process=process)
    assert set(mine.activities["process"].to_pylist()) == {process}
    assert 0 < len(mine) < len(whole)
    with pytest.raises(NoSignalError, match="process 1 "):
        read_trace_file(path, process=1)


def test_devices_are_numbered_as_the_machine_does_where_the_export_says_how(tmp_path):
    path = export(GRAPH_NODES, tmp_path)
    trace = read_nsys_sqlite(changed(path, "UPDATE TARGET_INFO_CUDA_DEVICE SET gpuId = 5"))
    assert set(trace.activities["device"].to_pylist()) == {5}
    assert any("GPUs" in note for note in trace.info.notes)


def test_an_export_without_kernels_ends_with_the_reason(tmp_path):
    with pytest.raises(NoSignalError, match="no kernel") as caught:
        read_trace_file(export(NO_KERNELS, tmp_path))
    assert caught.value.exit_code == 3


def test_what_the_profiler_may_have_lost_makes_the_trace_incomplete(tmp_path):
    trace = read_nsys_sqlite(export("nsys2025.3_t4_power_iteration_nvtx.sqlite", tmp_path))
    assert "nsys says: Not all CUDA events might have been collected." in trace.info.incomplete


def test_versions_and_gpu_are_known_from_old_and_new_exports(each):
    name, trace = each
    expected = EXPECTED[name]
    version = expected["nsys_version"]
    if version and "/" not in version:
        assert trace.info.versions["nsys"] == version
    if expected.get("gpus"):
        assert trace.info.gpu["name"] == expected["gpus"][0]


def test_what_is_left_out_is_said_and_the_rest_is_the_same(tmp_path):
    path = export(GRAPH_NODES, tmp_path)
    whole = read_nsys_sqlite(path)
    part = read_nsys_sqlite(path, leave_out=("calls", "copies", "launch configurations"))
    assert part.calls.num_rows == 0
    assert "not read, as asked: calls" in part.info.notes
    assert "not read, as asked: copies" in part.info.notes
    for column in ("name", "start_ns", "end_ns", "region", "launched_in", "stream"):
        assert part.activities[column].to_pylist() == kernels(whole)[column].to_pylist()
    assert part.activities["grid"].null_count == len(part)
    with pytest.raises(InputError, match="cannot be left out"):
        read_nsys_sqlite(path, leave_out=("kernels",))


def test_reading_changes_nothing_and_writes_nothing_beside_the_file(tmp_path):
    path = export(GRAPH_TRACE, tmp_path)
    before = path.read_bytes()
    path.chmod(0o444)
    read_nsys_sqlite(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["a b?mode=rwc.sqlite", "100%25#x.sqlite", "it's;--.sqlite"])
def test_any_file_name_is_only_a_name(tmp_path, name):
    path = export(GRAPH_TRACE, tmp_path).rename(tmp_path / name)
    assert len(read_trace_file(path)) == 6


def test_sql_in_names_is_only_text(tmp_path):
    text = "x''); DROP TABLE StringIds; --"
    path = changed(export(GRAPH_TRACE, tmp_path), f"UPDATE StringIds SET value = '{text}'")
    assert set(kernels(read_nsys_sqlite(path))["name"].to_pylist()) == {text.replace("''", "'")}


def test_a_view_is_no_table_of_kernels(tmp_path):
    path = changed(
        export(GRAPH_TRACE, tmp_path),
        f"ALTER TABLE {KERNELS} RENAME TO other",
        "DROP TABLE CUPTI_ACTIVITY_KIND_GRAPH_TRACE",
        f"CREATE VIEW {KERNELS} AS SELECT * FROM other",
    )
    with pytest.raises(NoSignalError):
        read_nsys_sqlite(path)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (f"UPDATE {KERNELS} SET start = 'soon'", "start"),
        (f"UPDATE {KERNELS} SET gridX = -1", "grid"),
        (f"UPDATE {KERNELS} SET streamId = x'00'", "stream"),
        (f"UPDATE {KERNELS} SET deviceId = 99999999999", "device"),
    ],
)
def test_a_value_that_cannot_be_is_named(tmp_path, statement, message):
    with pytest.raises(TraceFormatError, match=message):
        read_nsys_sqlite(changed(export(GRAPH_TRACE, tmp_path), statement))


def test_an_export_that_is_still_being_written_is_not_read(tmp_path):
    path = export(GRAPH_TRACE, tmp_path)
    path.with_name(path.name + "-journal").write_bytes(b"x")
    with pytest.raises(InputError, match="still being written"):
        read_nsys_sqlite(path)


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "text", "cut", "other"])
def test_what_is_no_export_is_refused_with_the_reason(tmp_path, what):
    path = tmp_path / "x.sqlite"
    if what == "folder":
        path.mkdir()
    elif what == "empty":
        path.touch()
    elif what == "text":
        path.write_text("hello")
    elif what == "cut":
        whole = export(GRAPH_NODES, tmp_path).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif what == "other":
        changed(path, "CREATE TABLE t (a)")
    for reader in (read_nsys_sqlite, read_trace_file):
        with pytest.raises(HarnessError) as caught:
            reader(path)
        assert caught.value.exit_code == 2


def test_row_ids_with_gaps_are_read_completely(tmp_path):
    path = export(GRAPH_NODES, tmp_path)
    changed(path, f"UPDATE {KERNELS} SET rowid = rowid * 1000000")
    assert kernels(read_nsys_sqlite(path)).num_rows == EXPECTED[GRAPH_NODES]["kernels"]


def test_several_threads_read_what_one_reads(tmp_path, monkeypatch):
    path = export(GRAPH_NODES, tmp_path)
    one = read_nsys_sqlite(path)
    monkeypatch.setattr("harness.record.files.nsys.scan._ROWS_PER_THREAD", 500)
    monkeypatch.setattr("harness.record.files.nsys.scan._cores", lambda: 3)
    several = read_nsys_sqlite(path)
    assert several.activities.to_pylist() == one.activities.to_pylist()
    assert several.calls.to_pylist() == one.calls.to_pylist()
    assert several.regions.to_pylist() == one.regions.to_pylist()


def innermost(ranges, thread, time):
    """The rule, range by range."""
    opened = [one for one in ranges if one[1] == thread and one[2] <= time < one[3]]
    return max(opened, key=lambda one: (one[2], -one[3], one[0]))[0] if opened else 0


def test_the_innermost_range_is_the_one_begun_last_of_those_that_are_open():
    random = np.random.default_rng(0)
    for _ in range(50):
        count = int(random.integers(0, 12))
        starts = random.integers(0, 20, count)
        ends = np.where(random.random(count) < 0.1, OPEN, starts + random.integers(0, 15, count))
        threads = random.integers(1, 3, count)
        ids = np.arange(1, count + 1)
        ranges = list(zip(*(one.tolist() for one in (ids, threads, starts, ends)), strict=True))
        found = Ranges(ids, threads, starts, ends)
        for thread in (1, 2, 3):
            times = np.arange(40)
            mine = found.at(np.full(len(times), thread), times).tolist()
            assert mine == [innermost(ranges, thread, time) for time in times.tolist()]
