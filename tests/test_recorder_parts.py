"""The pure parts between CUPTI's records and a Trace."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError, TraceFormatError
from harness.record.backward import Backward, BackwardLog, watch_backward
from harness.record.cupti import drops
from harness.record.cupti.attribution import Slots
from harness.record.cupti.buffers import BufferPool
from harness.record.cupti.memory import Strings
from harness.record.cupti.nodes import CHILD_GRAPH, KERNEL, MEMCPY, Node, NodeRegions
from harness.record.cupti.replays import check_replays
from harness.record.cupti.walk import DamagedError, walk, word_counts
from harness.record.regions import (
    OpenRegion,
    RegionLog,
    add_listener,
    open_regions,
    region,
    remove_listener,
)
from harness.trace import Trace, TraceInfo, activities_table, read_trace, write_trace
from harness.trace.columns import Nulls
from harness.trace.dims import DIM3, dim3_column, encode
from harness.trace.schema import ACTIVITIES, OUTSIDE

SIZES = {1: 96, 2: 88, 5: 40, 10: 216, 39: 24}
STEPS = word_counts(SIZES)


def buffer_of(kinds):
    words = []
    for kind in kinds:
        record = np.full(STEPS[kind] * 2, 7, np.uint32)  # 7 is no kind: a walk that errs ends
        record[0] = kind
        words.append(record)
    return np.concatenate([*words, np.empty(0, np.uint32)]).view(np.uint8)


PIECES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=60), st.integers(1, 80)
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(PIECES)
def test_walking_by_repetition_finds_every_record(pieces):
    kinds = [kind for block, times in pieces for kind in block * times]
    starts, found = walk(buffer_of(kinds), STEPS)
    assert found.tolist() == kinds
    assert starts.tolist() == np.cumsum([0, *(STEPS[kind] for kind in kinds)])[:-1].tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.sampled_from([0, 7, 255, 1 << 20]))
def test_a_wrong_kind_anywhere_in_a_repetition_is_found(at, wrong):
    buffer = buffer_of([39, 5, 10] * 1001)
    starts, _ = walk(buffer, STEPS)
    buffer.view(np.uint32)[2 * starts[at]] = wrong
    with pytest.raises(DamagedError, match=f"byte {8 * starts[at]}$"):
        walk(buffer, STEPS)


@pytest.mark.parametrize("spread", [3, 1_000_000])
def test_ids_are_found_whether_they_are_dense_or_not(spread):
    known = np.arange(1, 5000, dtype=np.uint32) * spread
    slots = Slots([known[::2], known[1::2]])
    places = slots.of(known)
    assert len(set(places.tolist())) == len(known)
    assert places.min() > 0
    assert places.max() <= slots.count
    assert slots.of(np.array([0, known[-1] + 1], np.uint32)).tolist() == [0, 0]


def test_no_known_ids_have_no_places():
    assert Slots([np.empty(0, np.uint32)]).of(np.array([1, 2], np.uint32)).tolist() == [0, 0]


OUTER, INNER = OpenRegion(3, "outer", None), OpenRegion(4, "inner", 3)


def graph_of(*kinds, regions=(OUTER, INNER)):
    """Nodes 1<<32|n, and as an executable graph 2<<32|n, to which the driver adds one."""
    nodes = NodeRegions()
    for number, kind in enumerate(kinds):
        nodes.created(1 << 32 | number, Node(kind, regions, 7, 100))
    for number, kind in enumerate(kinds):
        nodes.created(2 << 32 | number, Node(kind, (), 7, 200))
        nodes.cloned(2 << 32 | number, 1 << 32 | number)
    nodes.created(2 << 32 | len(kinds), Node(KERNEL, (), 7, 200))
    return nodes


def replayed(*numbers, correlation=9, graph=2):
    node = np.array([graph << 32 | number for number in numbers], np.uint64)
    return np.full(len(node), graph, np.uint32), node, np.full(len(node), correlation, np.uint32)


def joined(*replays):
    return tuple(np.concatenate(columns) for columns in zip(*replays, strict=True))


def test_nodes_keep_the_region_of_their_capture_through_instantiation():
    graph, node, _ = replayed(0, 1)
    region_ids = graph_of(KERNEL, MEMCPY).regions_of(graph, node, np.array([8, 8]))
    assert region_ids.tolist() == [INNER.id, INNER.id]
    assert set(graph_of(KERNEL).regions([2])) == {3, 4}


def test_nodes_captured_outside_every_region_go_to_the_region_of_the_replay():
    graph, node, _ = replayed(0)
    launched = np.array([8])
    assert graph_of(KERNEL, regions=()).regions_of(graph, node, launched) is launched


def test_the_copy_of_an_unknown_node_is_unknown():
    nodes = NodeRegions()
    nodes.created(2 << 32, Node(KERNEL, (INNER,), 7, 200))
    nodes.cloned(2 << 32, 1 << 32)
    assert nodes.nodes_of(2) is None


def test_destroyed_graphs_are_forgotten_when_their_records_have_been_read():
    nodes = graph_of(KERNEL)
    nodes.ended(2)
    assert nodes.nodes_of(2)
    nodes.forget_ended()
    assert nodes.nodes_of(2) is None
    assert nodes.nodes_of(1)


def test_replays_with_every_node_once_are_complete_in_any_order():
    nodes = graph_of(KERNEL, MEMCPY, 3, KERNEL)  # 3: a host node, which leaves no activity
    found = check_replays(*joined(replayed(0, 1, 3), replayed(3, 0, 1, correlation=10)), nodes)
    assert (found.count, found.graphs, found.problems, found.notes) == (2, (2,), (), ())


def test_interleaved_replays_are_told_apart():
    nodes = graph_of(KERNEL, KERNEL)
    one, other = replayed(0, 1), replayed(0, 1, correlation=10)
    mixed = tuple(np.stack(pair, axis=1).reshape(-1) for pair in zip(one, other, strict=True))
    assert check_replays(*mixed, nodes).problems == ()


@pytest.mark.parametrize("numbers", [(0,), (0, 0), (0, 1, 1), (0, 5)])
def test_a_replay_that_lacks_a_node_or_has_one_twice_is_a_problem(numbers):
    found = check_replays(*replayed(*numbers), graph_of(KERNEL, KERNEL))
    assert len(found.problems) == 1
    assert "its nodes (2)" in found.problems[0]


def test_without_the_nodes_replays_are_compared_with_the_first():
    replays = [replayed(0, 1), replayed(0, 1, correlation=10), replayed(1, correlation=11)]
    found = check_replays(*joined(*replays), NodeRegions())
    assert len(found.problems) == 1
    assert "correlation id 11" in found.problems[0]
    assert "before the recording" in found.notes[0]


def test_nodes_of_child_graphs_are_noted_and_not_missed():
    found = check_replays(*replayed(4, 5), graph_of(CHILD_GRAPH, KERNEL))
    assert found.problems == ()
    assert "2 of 2 activities per replay" in found.notes[0]


def test_bodies_of_conditional_nodes_are_no_replay():
    assert check_replays(*replayed(0, 0, correlation=0), NodeRegions()).count == 0


def test_many_wrong_replays_are_counted_and_not_all_listed():
    replays = [replayed(0, correlation=at) for at in range(1, 9)]
    problems = check_replays(*joined(*replays), graph_of(KERNEL, KERNEL)).problems
    assert len(problems) == 6
    assert problems[-1] == "and 3 more replays"


def test_calls_of_autograd_threads_go_to_the_region_of_the_backward_pass(monkeypatch):
    monkeypatch.setattr("harness.record.backward.autograd_threads", lambda: {50})
    log = BackwardLog(
        [Backward((OUTER,), 10, 20), Backward((INNER,), 30, 40), Backward((OUTER,), 35, 50)]
    )
    threads = np.array([50, 50, 50, 50, 50, 51, 50])
    times = np.array([15, 32, 37, 45, 60, 15, 15])
    given = np.array([OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE, 99])
    # At 37 two passes run: which of them launched cannot be told.
    expected = [OUTER.id, INNER.id, OUTSIDE, OUTER.id, OUTSIDE, OUTSIDE, 99]
    assert log.regions_of(threads, times, given).tolist() == expected


def test_a_pass_within_a_pass_keeps_the_region_of_the_outer_one(monkeypatch):
    monkeypatch.setattr("harness.record.backward.autograd_threads", lambda: {50})
    monkeypatch.setattr("harness.record.backward.on_autograd_thread", lambda: True)
    weight = torch.ones(3, requires_grad=True)

    class Reentrant(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            inner = torch.ones(3, requires_grad=True)
            with torch.enable_grad():
                (inner * 3).sum().backward()
            return gradient

    with watch_backward(time.time_ns) as log, region("step") as step:
        Reentrant.apply(weight).sum().backward()
    assert [one.regions for one in log.passes] == [(step,), (step,)]
    one = log.passes[1].start_ns
    found = log.regions_of(np.array([50]), np.array([one]), np.array([OUTSIDE]))
    assert found.tolist() == [step.id]
    assert log.ambiguous == 0


def test_watching_may_nest():
    engine = torch.autograd.Variable._execution_engine
    with watch_backward(time.time_ns) as outer, watch_backward(time.time_ns) as inner:
        torch.ones(3, requires_grad=True).sum().backward()
    assert (len(outer.passes), len(inner.passes)) == (1, 1)
    assert torch.autograd.Variable._execution_engine is engine


def test_regions_open_on_other_threads_are_in_the_log_with_their_thread():
    entered, leave = threading.Event(), threading.Event()
    told = {}

    def work():
        with region("theirs") as opened:
            told["id"], told["thread"] = opened.id, threading.get_native_id()
            entered.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    with RegionLog() as log:
        leave.set()
        thread.join()
    rows = {row["name"]: row for row in log.rows}
    assert log.elsewhere == [told["id"]]
    assert rows["theirs"]["thread"] == told["thread"]
    assert rows["theirs"]["end_ns"] is not None


def test_the_oldest_graphs_are_forgotten_when_there_are_very_many(monkeypatch):
    monkeypatch.setattr("harness.record.cupti.nodes.MOST_GRAPHS", 3)
    nodes = NodeRegions()
    for graph in range(1, 6):
        nodes.created(graph << 32, Node(KERNEL, (), 7, 100))
    assert [graph for graph in range(1, 6) if nodes.nodes_of(graph)] == [3, 4, 5]


def test_backward_passes_are_noted_with_their_regions_and_the_engine_is_put_back():
    engine = torch.autograd.Variable._execution_engine
    weight = torch.ones(3, requires_grad=True)
    with watch_backward(time.time_ns) as log:
        with region("step") as step:
            (weight * 2).sum().backward()
        torch.autograd.grad((weight * 2).sum(), weight)
        assert log.running() == ()
    assert torch.autograd.Variable._execution_engine is engine
    assert [one.regions for one in log.passes] == [(step,), ()]
    assert all(one.start_ns <= one.end_ns for one in log.passes)


class Listener:
    def __init__(self):
        self.told = []

    def opened(self, entered):
        self.told.append(entered.name)

    def closed(self, left):
        self.told.append(f"/{left.name}")


def test_a_fork_does_not_tell_the_parents_recorder():
    listener = Listener()
    add_listener(listener)
    try:
        child = os.fork()
        if child == 0:
            with region("in the child"):
                os._exit(len(listener.told))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with region("here"):
            pass
    finally:
        remove_listener(listener)
    assert listener.told == ["here", "/here"]


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = torch.nn.Linear(2, 2)
        self.mlp = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.mlp(self.self_attn(x))


def test_submodules_that_match_a_pattern_are_regions_while_the_block_runs():
    model = torch.nn.Sequential(Block(), Block())
    listener = Listener()
    add_listener(listener)
    try:
        with region.modules(model, "*.self_attn") as paths:
            model(torch.ones(1, 2))
        model(torch.ones(1, 2))
    finally:
        remove_listener(listener)
    assert paths == ["0.self_attn", "1.self_attn"]
    assert listener.told == ["0.self_attn", "/0.self_attn", "1.self_attn", "/1.self_attn"]


def test_a_pattern_that_matches_nothing_is_an_error_that_shows_paths():
    with (
        pytest.raises(InputError, match=r"'\*\.attn'.*self_attn"),
        region.modules(Block(), "*.attn"),
    ):
        pass


def test_threads_in_one_module_close_their_own_regions():
    block, seen = Block(), []
    meeting = threading.Barrier(2)
    block.mlp.register_forward_hook(lambda *_: (meeting.wait(), seen.append(open_regions())))

    def work():
        block(torch.ones(1, 2))
        assert open_regions() == ()

    with region.modules(block, "mlp"):
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [[one.name for one in stack] for stack in seen] == [["mlp"], ["mlp"]]
    assert seen[0] != seen[1]


def test_names_are_read_from_memory_and_stray_pointers_are_counted():
    text = ctypes.create_string_buffer(b"_Z4gemmv" * 900)
    strings = Strings()
    assert strings.at(ctypes.addressof(text)) == "_Z4gemmv" * 900
    for stray in (0, 1 << 40, -8, (1 << 64) - 8):
        assert "unreadable" in strings.at(stray)
    assert strings.unreadable == 4


class Dropping:
    """Counts what it cannot write, or not."""

    def __init__(self, pool, counts):
        self.pool, self.counts, self.lost, self.enabled = pool, counts, 0, []

    def dropped(self):
        lost, self.lost = self.lost, 0
        return lost if self.counts else 0

    def enable(self, kind):
        self.enabled.append(kind)

    def disable(self, kind):
        self.enabled.remove(kind)

    def flush(self):
        self.lost += self.pool.lend() == 0


@pytest.mark.parametrize("counts", [True, False])
def test_a_drop_is_forced_once_to_see_that_it_is_counted(monkeypatch, counts):
    monkeypatch.setattr(drops, "_proven", None)
    pool = BufferPool(size=64, preallocated=1)
    cupti = Dropping(pool, counts)
    assert drops.drops_are_counted(cupti, pool, lambda: None) is counts
    assert cupti.enabled == []
    assert pool.lend() != 0, "buffers are lent again"
    assert drops.drops_are_counted(None, pool, None) is counts, "the second time it is known"


@given(
    st.lists(
        st.none()
        | st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 65535), st.integers(0, 65535))
    )
)
def test_dim3_columns_keep_their_values(values):
    plain = pa.array([None if one is None else list(one) for one in values], DIM3)
    assert encode(plain).to_pylist() == plain.to_pylist()


def test_a_dim3_beyond_a_cuda_grid_is_refused():
    one = np.ones(1, np.int64)
    for x, y in ((one << 31, one), (one, one << 16), (-one, one)):
        with pytest.raises(ValueError, match="dim3"):
            dim3_column(x, y, one)


def test_columns_without_values_are_null_and_share_their_memory():
    absent = Nulls(1000)
    table = pa.Table.from_arrays([absent.of(field.type) for field in ACTIVITIES], schema=ACTIVITIES)
    table.validate(full=True)
    assert all(column.null_count == 1000 for column in table.columns)
    assert table.get_total_buffer_size() < 10 * 1001


def test_a_file_with_a_dim3_of_two_numbers_is_refused(tmp_path):
    import pyarrow.parquet as pq

    trace = Trace(activities_table([{"kind": "kernel", "grid": [1, 2, 3]}]), TraceInfo("cupti"))
    path = write_trace(trace, tmp_path / "t.parquet")
    assert read_trace(path).activities["grid"].to_pylist() == [[1, 2, 3]]
    table = pq.read_table(path)
    at = table.schema.get_field_index("grid")
    grid = pa.array([[1, 2]] + [None] * (len(table) - 1), table.schema.field("grid").type)
    pq.write_table(table.set_column(at, table.schema.field("grid"), grid), path)
    with pytest.raises(TraceFormatError, match="three numbers"):
        read_trace(path)


def test_replaced_traces_keep_launch_regions():
    rows = [{"kind": "kernel", "region": 4, "launched_in": 3}, {"kind": "kernel", "region": 5}]
    trace = Trace(activities_table(rows), TraceInfo("cupti"))
    assert replace(trace).launch_regions().to_pylist() == [3, 5]
