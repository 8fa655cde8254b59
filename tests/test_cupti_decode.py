"""Raw activity buffers become the right rows, or a stated reason why not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import MissingPackageError, RecorderBusyError
from harness.record.cupti import CuptiRecorder
from harness.record.cupti.apis import puts_work_on_device
from harness.record.cupti.attribution import MARK, REGION
from harness.record.cupti.buffers import BufferPool
from harness.record.cupti.decode import decode
from harness.record.cupti.errors import error_of
from harness.record.cupti.fields import Kind
from harness.record.cupti.layout import Layouts, documented_sizes, make_layouts
from harness.record.cupti.session import KINDS, Session, pool
from harness.record.cupti.structs import structs
from harness.record.cupti.summary import clock_reasons, incomplete_reasons
from harness.record.cupti.tables import Known, build
from harness.record.regions import region
from harness.trace.dims import DIM3
from harness.trace.schema import OUTSIDE

pytest.importorskip("cupti", reason="the record layouts come from cupti-python")

LAYOUTS = make_layouts(structs(), documented_sizes(130001))
NAMES = {4096: "_Z4gemmv", 8192: "_Z4reluv"}
OWN = 1 << 62


def record(kind: int, layouts: Layouts = LAYOUTS, **fields) -> bytes:
    row = np.zeros(1, layouts.dtypes[kind])
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row.tobytes()


def kernel(correlation: int, *, name: int = 4096, start: int = 100, **fields) -> bytes:
    shape = {f"{what}_{axis}": 1 for what in ("grid", "block") for axis in "xyz"}
    values = {"name": name, "start": start, "end": start + 10, "correlation_id": correlation}
    return record(Kind.KERNEL, **(shape | values | fields))


def call(correlation: int, kind: int = Kind.RUNTIME, **fields) -> bytes:
    values = {"cbid": 211, "start": 1, "end": 2, "thread_id": 7, "correlation_id": correlation}
    return record(kind, **(values | fields))


def external(correlation: int, identifier: int, kind: int = REGION) -> bytes:
    return record(
        Kind.EXTERNAL_CORRELATION,
        external_kind=kind,
        external_id=identifier,
        correlation_id=correlation,
    )


def buffer(*records: bytes) -> np.ndarray:
    return np.frombuffer(bytearray(b"".join(records)), np.uint64).view(np.uint8)


def tables(*records: bytes, regions=(), own=()):
    found = decode([buffer(*records)], LAYOUTS)
    assert found.problems == []
    api_names = {Kind.RUNTIME: {211: "cudaLaunchKernel_v7000"}, Kind.DRIVER: {}}
    return build(found, known(regions=regions, own=own, api_names=api_names))


def known(**more):
    return Known(**({"process": 1, "name_of": NAMES.__getitem__} | more))


def reasons(result, **changes):
    given = {"dropped": 0, "missing_marks": 0, "problems": (), "mapped": ["/a/libcupti.so.13"]}
    return incomplete_reasons(tables=result, **(given | changes))


def test_a_kernel_record_becomes_a_row_with_its_launch_configuration():
    result = tables(
        call(5),
        kernel(
            5,
            grid_x=3,
            grid_y=2,
            block_x=128,
            cluster_x=2,
            cluster_y=1,
            cluster_z=1,
            static_shared_memory=16,
            dynamic_shared_memory=1024,
            registers_per_thread=40,
            device_id=1,
            context_id=2,
            stream_id=7,
        ),
    )
    row = result.activities.to_pylist()[0]
    assert row["kind"] == "kernel"
    assert row["name"] == "_Z4gemmv"
    assert (row["grid"], row["block"], row["cluster"]) == ([3, 2, 1], [128, 1, 1], [2, 1, 1])
    assert (row["shared_static_bytes"], row["shared_dynamic_bytes"]) == (16, 1024)
    assert (row["registers"], row["device"], row["context"], row["stream"]) == (40, 1, 2, 7)
    assert (row["start_ns"], row["end_ns"], row["correlation"]) == (100, 110, 5)
    assert (row["graph"], row["graph_node"], row["bytes"]) == (None,) * 3
    assert row["region"] == row["launched_in"] == OUTSIDE
    assert reasons(result) == ()


def test_copies_and_fills_are_named_by_direction_and_carry_their_bytes():
    common = {"start": 10, "end": 20, "bytes": 64}
    result = tables(
        *(call(number) for number in range(1, 5)),
        record(Kind.MEMCPY, copy_kind=1, correlation_id=1, **common),
        record(Kind.MEMCPY, copy_kind=8, correlation_id=2, **common),
        record(Kind.MEMCPY_PEER, copy_kind=10, correlation_id=3, **common),
        record(Kind.MEMSET, value=7, correlation_id=4, **common),
    )
    rows = result.activities.to_pylist()
    assert [row["name"] for row in rows] == ["HtoD", "DtoD", "PtoP", "memset"]
    assert [row["kind"] for row in rows] == ["memcpy", "memcpy", "memcpy", "memset"]
    assert [row["bytes"] for row in rows] == [64] * 4
    assert [row["value"] for row in rows] == [None, None, None, 7]
    assert rows[0]["grid"] is None


def test_kernels_belong_to_the_innermost_region_of_their_launch():
    result = tables(
        call(1), kernel(1, start=10),
        external(2, 11), call(2), kernel(2, start=20),
        external(3, 12), external(3, 11), call(3), kernel(3, start=30, name=8192),
        external(4, 99), call(4), kernel(4, start=40),
        regions=[11, 12],
    )  # fmt: skip
    # 99 is an id that another tool attached.
    assert result.activities["region"].to_pylist() == [OUTSIDE, 11, 12, OUTSIDE]
    assert result.calls["region"].to_pylist() == [OUTSIDE, 11, 12, OUTSIDE]
    assert result.calls["name"].to_pylist() == ["cudaLaunchKernel_v7000"] * 4


def test_replayed_nodes_share_the_correlation_of_the_graph_launch():
    node = 2 << 32
    result = tables(
        external(9, 11),
        call(9),
        *(kernel(9, start=i, graph_id=2, graph_node_id=node | i) for i in (1, 2, 3)),
        regions=[11],
    )
    assert result.activities["graph_node"].to_pylist() == [node | 1, node | 2, node | 3]
    assert result.activities["graph"].to_pylist() == [2, 2, 2]
    assert result.activities["region"].to_pylist() == [11, 11, 11]


def test_rows_are_in_start_order_across_kinds_and_buffers():
    late = buffer(call(1), kernel(1, start=300))
    early = buffer(call(2), record(Kind.MEMSET, start=5, end=6, correlation_id=2))
    found = decode([late, early], LAYOUTS)
    result = build(found, known())
    assert result.activities["start_ns"].to_pylist() == [5, 300]


def test_the_recorders_own_launches_never_appear():
    result = tables(
        external(1, OWN, MARK), call(1), kernel(1, start=1),
        call(2), kernel(2, start=2),
        own=[OWN, OWN + 1],
    )  # fmt: skip
    assert result.activities["correlation"].to_pylist() == [2]
    assert result.calls["correlation"].to_pylist() == [2]
    assert result.marks_seen == {OWN}


def test_a_kernel_of_the_same_name_as_the_own_launch_stays():
    result = tables(external(1, OWN, MARK), call(1), kernel(1), call(2), kernel(2), own=[OWN])
    assert result.activities["name"].to_pylist() == ["_Z4gemmv"]


def test_what_is_missing_is_said():
    result = tables(kernel(1), call(2), kernel(2, end=0))
    assert (result.unattributed, result.untimed) == (1, 1)
    assert result.activities["end_ns"].to_pylist() == [110, None]
    said = "; ".join(
        reasons(
            result,
            dropped=3,
            missing_marks=1,
            problems=("p",),
            mapped=["/opt/x/lib/a.so", "/opt/y/lib/b.so"],
        )
    )
    for part in (
        "dropped 3",
        "1 activities have no recorded",
        "no start or end",
        "x/lib/a.so, y/lib/b.so",
        "p",
    ):
        assert part in said
    assert "took CUPTI's buffers" in said


def between_marks(*records):
    """With the recorder's own launches around them, at 1 and 1000 ns."""
    names = {Kind.RUNTIME: {211: "cudaLaunchKernel_v7000", 311: "cudaGraphLaunch_v10000"}}
    first = [external(900, OWN, MARK), call(900, start=1, end=2), kernel(900, start=3)]
    last = [external(901, OWN + 1, MARK), call(901, start=1000, end=1001), kernel(901, start=1002)]
    found = decode([buffer(*first, *records, *last)], LAYOUTS)
    own = (OWN, OWN + 1)
    return lambda **more: build(found, known(own=own, api_names=names, **more))


def test_a_launch_without_a_kernel_is_missed_unless_it_was_captured():
    make = between_marks(call(1, start=10, end=11), call(2, start=20, end=21), kernel(2, start=30))
    assert make(nodes_made=0).silent == (1, 0)
    assert "1 kernel launches left no activity" in reasons(make(nodes_made=0))
    assert make(nodes_made=1).silent == (0, 0)
    assert make(nodes_made=None).silent == (0, 0)


def test_a_failed_launch_and_one_outside_of_the_recorded_time_are_not_missed():
    failed = call(1, start=10, end=11, return_value=700)
    late = call(2, start=2000, end=2001)
    assert between_marks(failed, late)(nodes_made=0).silent == (0, 0)


def test_a_graph_launch_without_any_activity_is_missed():
    make = between_marks(
        call(1, start=10, end=11, cbid=311), kernel(1, start=12, graph_id=2, graph_node_id=2 << 32),
        call(2, start=20, end=21, cbid=311),
    )  # fmt: skip
    result = make(nodes_made=5)
    assert result.silent == (0, 1)
    assert "1 graph launches left no activity" in reasons(result)


def test_a_graph_of_nothing_but_a_conditional_node_has_one_reason():
    body = kernel(0, start=12, graph_id=2, graph_node_id=2 << 32)
    result = between_marks(call(1, start=10, end=11, cbid=311), body)(nodes_made=5)
    assert len(reasons(result)) == 1
    assert "bodies of conditional" in reasons(result)[0]


def test_ids_of_regions_without_their_call_are_missed_and_those_of_others_are_not():
    foreign = external(7, 5, kind=1)
    assert tables(foreign, call(1), kernel(1)).stray == 0
    lost = tables(external(7, 11), call(1), kernel(1), regions=[11])
    assert lost.stray == 1
    assert reasons(lost) == ("1 region ids belong to no recorded call",)


def test_decoded_fields_do_not_look_at_the_buffer_any_more():
    data = buffer(kernel(1))
    found = decode([data], LAYOUTS)
    assert not np.shares_memory(found.of[Kind.KERNEL]["start"], data)


def test_raw_ticks_are_a_reason_not_to_trust_the_times():
    result = tables(call(1), kernel(1, start=10**18))
    assert clock_reasons(result, 10**18, 10**18 + 9000, 10**18 + 9500) == ()
    assert "raw ticks" in clock_reasons(result, 10**18, 123456789, 10**18)[0]


def test_activities_outside_of_the_recorded_time_are_a_reason_not_to_trust_the_times():
    result = tables(call(1), kernel(1, start=10**18))
    before, after = 10**18 - 10**7, 10**18 + 10**7
    assert clock_reasons(result, before, after, after) == ()
    assert "outside of the recorded time" in clock_reasons(result, after, after, after)[0]
    assert "outside of the recorded time" in clock_reasons(result, before, before, before)[0]


def test_no_buffers_give_an_empty_trace():
    found = decode([], LAYOUTS)
    result = build(found, known())
    assert (result.activities.num_rows, result.calls.num_rows, found.count) == (0, 0, 0)


def test_kinds_that_nobody_asked_for_are_counted_and_skipped():
    layouts = Layouts(LAYOUTS.dtypes, {**LAYOUTS.sizes, 38: 56})
    other = np.zeros(7, np.uint64)
    other.view("<u4")[0] = 38
    found = decode([buffer(call(1), other.tobytes(), kernel(1))], layouts)
    assert found.skipped == {38: 1}
    assert (found.count, len(found.of[Kind.KERNEL])) == (3, 1)


@pytest.mark.parametrize("kind", [0, 38, 255, 256, 1 << 31])
def test_an_unknown_kind_makes_the_whole_buffer_unreadable(kind):
    bad = np.zeros(5, np.uint64)
    bad.view("<u4")[0] = kind
    damaged = buffer(call(1), kernel(1), bad.tobytes(), kernel(2))
    found = decode([damaged, buffer(call(3), kernel(3))], LAYOUTS)
    assert len(found.problems) == 1
    assert "byte 256" in found.problems[0]
    assert found.of[Kind.KERNEL]["correlation_id"].tolist() == [3]


@given(cut=st.integers(0, 600), uniform=st.booleans())
def test_a_truncated_buffer_gives_all_of_its_records_or_none(cut, uniform):
    parts = [kernel(1), kernel(2)] if uniform else [external(1, 5), call(1), kernel(1), call(2)]
    whole = buffer(*parts)
    ends = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    valid = min(cut, whole.size)
    found = decode([whole[:valid]], LAYOUTS)
    if valid in ends:
        assert (found.problems, found.count) == ([], ends.index(valid))
    else:
        assert len(found.problems) == 1
        assert all(len(rows) == 0 for rows in found.of.values())


@settings(max_examples=200)
@given(data=st.data())
def test_damage_never_raises_and_never_reads_outside(data):
    words = data.draw(st.lists(st.integers(0, 2**64 - 1), max_size=64))
    raw = np.array(words, np.uint64)
    kinds = st.sampled_from([0, 1, 2, 4, 5, 10, 12, 22, 38, 39])
    for at in range(len(raw)):
        raw.view("<u4")[2 * at] = data.draw(kinds)
    found = decode([raw.view(np.uint8)], LAYOUTS)
    used = sum(len(rows) * LAYOUTS.sizes[kind] for kind, rows in found.of.items())
    assert used == (0 if found.problems else raw.nbytes)


@settings(max_examples=50)
@given(order=st.lists(st.sampled_from(["call", "kernel", "external", "driver"]), max_size=60))
def test_every_order_of_records_is_decoded_completely(order):
    make = {
        "call": call,
        "kernel": kernel,
        "external": lambda number: external(number, 11),
        "driver": lambda number: call(number, Kind.DRIVER),
    }
    found = decode([buffer(*(make[what](n) for n, what in enumerate(order, 1)))], LAYOUTS)
    assert found.problems == []
    for what, kind in (
        ("call", Kind.RUNTIME),
        ("kernel", Kind.KERNEL),
        ("external", Kind.EXTERNAL_CORRELATION),
        ("driver", Kind.DRIVER),
    ):
        expected = [number for number, name in enumerate(order, 1) if name == what]
        assert found.of[kind]["correlation_id"].tolist() == expected


@pytest.mark.parametrize(
    "change",
    [{"grid_x": 0}, {"block_z": -1}, {"start": 50, "end": 40}],
)
def test_impossible_kernels_are_refused(change):
    found = decode([buffer(kernel(1, **change))], LAYOUTS)
    assert len(found.problems) == 1
    assert found.count == 0


def test_a_newer_libcupti_with_longer_records_is_read_by_its_own_sizes():
    layouts = make_layouts(structs(), documented_sizes(130401))
    row = record(Kind.KERNEL, layouts, correlation_id=3, grid_x=1, grid_y=1, grid_z=1, block_x=1,
                 block_y=1, block_z=1)  # fmt: skip
    assert len(row) == 248
    found = decode([buffer(row, row)], layouts)
    assert found.of[Kind.KERNEL]["correlation_id"].tolist() == [3, 3]


def test_fields_newer_than_the_mapped_libcupti_are_left_out():
    newer = dict(structs())
    base = newer["activity_kernel10_dtype"]
    newer["activity_kernel11_dtype"] = np.dtype([("kind", "<i4"), ("rest", "V220")])
    assert make_layouts(newer, documented_sizes(130001)).dtypes[Kind.KERNEL].names == base.names


def test_a_record_without_a_layout_names_the_package():
    few = {name: one for name, one in structs().items() if "kernel" not in name}
    with pytest.raises(MissingPackageError, match="KERNEL"):
        make_layouts(few, documented_sizes(130001))


def test_only_calls_that_put_work_on_the_device_are_recorded():
    wanted = [
        "cudaLaunchKernel_v7000", "cudaLaunchKernelExC_ptsz_v11060", "cuLaunchCooperativeKernel",
        "cudaGraphLaunch_v10000", "cuGraphLaunch_ptsz", "cuMemsetD2D8Async", "cuMemcpyDtoH_v2",
        "cudaMemcpyBatchAsync_v13000",
    ]  # fmt: skip
    unwanted = [
        "cudaStreamSynchronize_v3020", "cudaLaunchHostFunc_v10000", "cudaGraphAddMemcpyNode_v10000",
        "cuGraphMemsetNodeSetParams", "cudaGetLastError_v3020",
    ]  # fmt: skip
    assert all(map(puts_work_on_device, wanted))
    assert not any(map(puts_work_on_device, unwanted))


def test_another_subscriber_is_a_busy_error_that_names_candidates():
    error = error_of("cuptiSubscribe", 39, "CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED")
    assert isinstance(error, RecorderBusyError)
    assert error.exit_code == 3
    for name in ("nsys", "ncu", "Proton", "torch.profiler"):
        assert name in str(error)


def test_missing_permission_says_how_to_get_it():
    assert "CAP_SYS_ADMIN" in str(error_of("cuptiActivityEnable", 35, ""))


def test_buffers_go_round_and_growth_is_bounded_and_counted():
    pool = BufferPool(size=1 << 16, preallocated=1, limit=2)
    first, second = pool.lend(), pool.lend()
    assert first % 8 == 0
    assert pool.grown == 1
    assert (pool.lend(), pool.refused) == (0, 1)
    pool.take_back(first, 24)
    pool.take_back(second, 0)
    pool.take_back(12345, 8)
    filled = pool.collect()
    assert [len(one.records) for one in filled] == [24]
    assert pool.strays == 1
    pool.recycle(filled)
    assert pool.grown == 0, "what was allocated beyond the first ones is freed"
    assert pool.lend() == second
    with pool.withheld():
        assert pool.lend() == 0


def test_the_trace_columns_have_the_schema_types():
    result = tables(call(1), kernel(1))
    assert result.activities.schema.field("grid").type.value_type.equals(DIM3)
    assert result.activities["kind"].to_pylist() == ["kernel"]


def test_the_recorder_says_why_it_cannot_run_without_a_gpu():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    ok, why = CuptiRecorder().available()
    assert not ok
    assert "CUDA" in why


class FakeCupti:
    """A libcupti that launches nothing but keeps the books that the real one keeps."""

    def __init__(self, fail_at: str = "") -> None:
        self.fail_at = fail_at
        self.enabled: set[int] = set()
        self.subscribed = False
        self.stack: list[tuple[int, int]] = []
        self.pushed: list[tuple[int, int]] = []

    def _step(self, name: str) -> None:
        if name == self.fail_at:
            raise error_of(name, 999, "")

    def subscribe(self, on_graph=None) -> int:
        self._step("subscribe")
        self.subscribed = True
        return 1

    def unsubscribe(self, handle: int) -> None:
        self.subscribed = False

    def register_buffers(self, *callbacks) -> None:
        self._step("register_buffers")

    def enable(self, kind: int) -> None:
        if kind == Kind.EXTERNAL_CORRELATION:
            self._step("enable")
        self.enabled.add(kind)

    def disable(self, kind: int) -> None:
        self.enabled.discard(kind)

    def keep_apis(self, domain: int, wanted) -> int:
        self._step("keep_apis")
        return 0

    def push(self, kind: int, identifier: int) -> None:
        self.stack.append((kind, identifier))
        self.pushed.append((kind, identifier))

    def pop(self, kind: int) -> int | None:
        at = max(at for at, (what, _) in enumerate(self.stack) if what == kind)
        return self.stack.pop(at)[1]

    def flush(self) -> None:
        self._step("flush")

    def dropped(self) -> int:
        return 4

    def use_system_thread_ids(self) -> None:
        pass

    def take_callback_errors(self) -> list[str]:
        return []

    def timestamp(self) -> int:
        return 1


class FakeProbe:
    def fill_(self, value: int) -> None:
        pass


@pytest.fixture
def fake_device(monkeypatch):
    monkeypatch.setattr("harness.record.cupti.session.synchronise_devices", lambda: None)
    monkeypatch.setattr("harness.record.cupti.session.probe_tensor", FakeProbe)
    monkeypatch.setattr("harness.record.cupti.session.mark_traced", lambda name: None)
    return FakeCupti


def test_a_session_attaches_regions_and_marks_and_leaves_nothing_behind(fake_device):
    cupti = fake_device()
    with region("before") as before, Session(cupti) as session:
        assert cupti.enabled == set(KINDS)
        with region("inner") as inner:
            assert cupti.stack[-1] == (REGION, inner.id)
    first, last = session.marks
    assert cupti.pushed == [(MARK, first), (REGION, before.id), (REGION, inner.id), (MARK, last)]
    assert (cupti.enabled, cupti.subscribed, cupti.stack) == (set(), False, [])
    assert (session.dropped, session.problems, session.ended) == (4, [], True)
    assert [row["name"] for row in session.log.rows] == ["<outside>", "before", "inner"]


def test_regions_after_a_session_attach_nothing(fake_device):
    cupti = fake_device()
    with Session(cupti):
        pass
    pushed = len(cupti.pushed)
    with region("later"):
        pass
    assert len(cupti.pushed) == pushed


@pytest.mark.parametrize("step", ["register_buffers", "enable", "keep_apis"])
def test_a_failed_start_leaves_nothing_enabled(fake_device, step):
    cupti = fake_device(fail_at=step)
    with pytest.raises(Exception, match=step), Session(cupti):
        pass
    assert (cupti.enabled, cupti.subscribed, cupti.stack) == (set(), False, [])


def test_a_failing_device_at_the_end_still_disables_everything(fake_device, monkeypatch):
    cupti = fake_device()
    session = Session(cupti)
    session.__enter__()

    def broken():
        raise RuntimeError("illegal memory access")

    monkeypatch.setattr("harness.record.cupti.session.synchronise_devices", broken)
    with pytest.raises(RuntimeError, match="illegal"):
        session.__exit__(None, None, None)
    assert (cupti.enabled, cupti.subscribed, cupti.stack) == (set(), False, [])
    assert session.ended


def test_buffers_left_over_from_before_are_not_of_this_recording(fake_device):
    address = pool().lend()
    pool().take_back(address, 40)
    with Session(fake_device()) as session:
        pass
    assert session.filled == []
