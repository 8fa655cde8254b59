"""Raw CUPTI buffers of an H200, decoded without a GPU to the rows that were seen there."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("cupti.cupti", reason="the record layouts come from cupti-python")

from harness.record.cupti.assemble import Unlabelled
from harness.record.cupti.decode import decode
from harness.record.cupti.fields import Kind
from harness.record.cupti.layout import make_layouts
from harness.record.cupti.structs import structs
from harness.record.cupti.summary import clock_reasons, incomplete_reasons
from harness.record.cupti.tables import Known, build
from harness.record.cupti.walk import walk, word_counts
from harness.trace import Trace, TraceInfo

RECORDING = Path(__file__).parent / "data" / "cupti_h200_raw.npz"


@pytest.fixture(scope="module")
def recorded():
    with np.load(RECORDING) as file:
        meta = json.loads(str(file["meta"]))
        buffers = [file[name] for name in file.files if name.startswith("buffer")]
    sizes = {int(kind): size for kind, size in meta["sizes"].items()}
    return buffers, sizes, meta


@pytest.fixture(scope="module")
def trace(recorded):
    buffers, sizes, meta = recorded
    records = decode(buffers, make_layouts(structs(), sizes))
    assert records.problems == []
    names = {int(pointer): name for pointer, name in meta["names"].items()}
    identifiers = records.of[Kind.EXTERNAL_CORRELATION]["external_id"]
    own = {int(value) for value in identifiers if value >= 1 << 62}
    regions = {row["id"] for row in meta["regions"]}
    tables = build(records, Known(1, names.__getitem__, regions, own))
    assert len(own) == 2, "one launch of the recorder's own at the start and one at the end"
    return Trace(tables.activities, TraceInfo("cupti"))


def test_recorded_buffers_decode_to_the_rows_that_the_gpu_machine_saw(trace, recorded):
    rows = [
        [row["kind"], row["name"], row["region"] or None, row["graph_node"], row["start_ns"]]
        for row in trace.rows()
    ]
    assert len(rows) > 10
    assert rows == recorded[2]["rows"]


def test_both_replays_launch_every_node_once(trace):
    nodes = Counter(row["graph_node"] for row in trace.rows() if row["graph_node"] is not None)
    assert len(nodes) > 2
    assert set(nodes.values()) == {2}


def test_every_kernel_ends_after_it_starts_and_has_a_launch_configuration(trace):
    for row in trace.of_kind("kernel").rows():
        assert row["end_ns"] > row["start_ns"]
        assert min(row["grid"] + row["block"]) >= 1
        assert row["registers"] > 0


API_NAMES = {Kind.RUNTIME: {211: "cudaLaunchKernel_v7000", 311: "cudaGraphLaunch_v10000"}}


def truth(trace):
    return [tuple(map(str, row.values())) for row in trace.rows()]


def build_from(buffers, recorded):
    """Rows and reasons of damaged buffers, judged as the recorder judges."""
    _, sizes, meta = recorded
    records = decode(buffers, make_layouts(structs(), sizes))
    names = {int(pointer): name for pointer, name in meta["names"].items()}
    unreadable = []

    def name_of(pointer):
        if pointer not in names:
            unreadable.append(f"no name at {pointer}")
        return names.get(pointer, "")

    regions = {row["id"] for row in meta["regions"]}
    unlabelled = Unlabelled(meta["regions"], max(row["end_ns"] for row in meta["regions"]))
    known = Known(
        1, name_of, regions, meta_marks(recorded), API_NAMES, nodes_made=0, refine=(unlabelled,)
    )
    tables = build(records, known)
    reasons = incomplete_reasons(
        dropped=0,
        missing_marks=len(meta_marks(recorded) - tables.marks_seen),
        tables=tables,
        problems=(*records.problems, *unreadable, *["unlabelled"] * bool(unlabelled.count)),
        mapped=["one"],
    )
    times = [row[4] for row in meta["rows"]]
    began, ended = min(times), max(times) + 1_000_000
    return tables.activities, (*reasons, *clock_reasons(tables, began, ended, ended))


def meta_marks(recorded):
    buffers, sizes, _ = recorded
    external = decode(buffers, make_layouts(structs(), sizes)).of[Kind.EXTERNAL_CORRELATION]
    return {int(value) for value in external["external_id"] if value >= 1 << 62}


def rows_of(activities):
    return [tuple(map(str, row.values())) for row in activities.to_pylist()]


def pieces(recorded):
    """The recording in four buffers, cut between records."""
    (buffer,) = recorded[0]
    starts, _ = walk(buffer, word_counts(recorded[1]))
    cuts = [8 * int(starts[len(starts) * part // 4]) for part in range(4)] + [buffer.size]
    return [buffer[a:b].copy() for a, b in pairwise(cuts)]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_recordings_say_so_or_are_unchanged(recorded, trace, data):
    """Cut anywhere, a stretch of zeros or of ones over it, a kind overwritten, a buffer lost: the
    Trace is incomplete, or notes that calls lack their region, or is as it was.

    A value that is changed to another plausible one cannot be told from the bytes.
    """
    whole = pieces(recorded)
    which = data.draw(st.integers(0, len(whole) - 1))
    buffer = whole[which]
    damage = data.draw(st.sampled_from(["cut", "zeros", "ones", "kind", "lost"]))
    at = data.draw(st.integers(0, buffer.size - 1))
    if damage == "cut":
        starts, _ = walk(buffer, word_counts(recorded[1]))
        assume(at not in 8 * starts)  # records lost as a whole are for CUPTI to count
        whole[which] = buffer[:at]
    elif damage == "kind":
        starts, _ = walk(buffer, word_counts(recorded[1]))
        start = data.draw(st.sampled_from(starts.tolist()))
        buffer.view("<u4")[2 * start] = data.draw(st.integers(0, 300))
    elif damage == "lost":
        del whole[which]
    else:
        at = at // 8 * 8
        length = data.draw(st.sampled_from([64, 216, 1000]))
        buffer[at : at + length] = 0 if damage == "zeros" else 255
    found, reasons = build_from(whole, recorded)
    if not reasons:
        assert rows_of(found) == truth(trace)


def test_a_kernel_under_a_kind_that_is_not_decoded_makes_the_recording_incomplete(recorded):
    buffer = pieces(recorded)[0]
    starts, kinds = walk(buffer, word_counts(recorded[1]))
    first = next(at for at, kind in zip(starts, kinds, strict=True) if kind == Kind.KERNEL)
    buffer.view("<u4")[2 * int(first)] = 3
    _, reasons = build_from([buffer, *pieces(recorded)[1:]], recorded)
    assert any("1 records of kind 3, kernels run one at a time" in reason for reason in reasons)


def test_the_undamaged_recording_has_no_reason_against_it(recorded, trace):
    found, reasons = build_from(recorded[0], recorded)
    assert reasons == ()
    assert rows_of(found) == truth(trace)
