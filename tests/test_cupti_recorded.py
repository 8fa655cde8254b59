"""Raw CUPTI buffers of an H200, decoded without a GPU to the rows that were seen there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cupti.cupti", reason="the record layouts come from cupti-python")

from harness.record.cupti.decode import decode
from harness.record.cupti.fields import Kind
from harness.record.cupti.layout import make_layouts
from harness.record.cupti.structs import structs
from harness.record.cupti.tables import Known, build
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
