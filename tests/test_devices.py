"""Devices of several processes: which are one GPU, and what is said where that is not known."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from harness.analyze.coverage import coverage
from harness.analyze.evidence import evidence
from harness.analyze.figures import figures
from harness.analyze.findings import findings
from harness.analyze.gaps import gaps
from harness.analyze.overlap import overlap
from harness.analyze.streaming import streaming
from harness.record.files.nsys import read_nsys_sqlite
from harness.trace import Trace, TraceInfo, activities_table, calls_table, regions_table
from harness.trace.info import MACHINE_NUMBERS
from tests.analyze_support import nsys_trace
from tests.nsys_files import GRAPH_NODES, TWO_GPUS, changed, export

REGIONS = [{"id": 0, "name": "<outside>"}, {"id": 1, "name": "layer_1"}]
WAIT = "cudaDeviceSynchronize_v3020"


def activity(kind, start, end, process, device=0):
    name = {"kernel": "gemm", "memcpy": "HtoD"}[kind]
    row = {"kind": kind, "name": name, "start_ns": start, "end_ns": end, "region": 1}
    return row | {"process": process, "device": device}


RANKS = [
    activity("kernel", 0, 100, 1),
    activity("memcpy", 0, 50, 2),
    activity("kernel", 50, 60, 2),
    activity("kernel", 150, 200, 1),
    activity("kernel", 160, 190, 2),
]
"""Process 1 computes while 2 copies, both on a device 0."""


def trace(rows, *notes, calls=()):
    info = TraceInfo("test", notes=notes)
    return Trace(activities_table(rows), info, regions_table(REGIONS), calls_table(calls))


def test_compute_of_one_process_hides_no_copy_of_another_on_its_own_device_0():
    rows = {
        (row["device"], row["process"]): row["against_overlapped_ns"]
        for row in overlap(trace(RANKS)).to_pylist()
        if row["range"] is None
    }
    assert rows == {(0, 1): 0, (0, 2): 0, (None, None): 0}
    (row,) = overlap(trace(RANKS, MACHINE_NUMBERS), ["none"]).to_pylist()
    assert (row["device"], row["process"], row["against_overlapped_ns"]) == (0, None, 50)


def test_layers_and_graphs_are_of_the_device_of_each_process():
    report = streaming(trace(RANKS))
    whose = [(row["process"], row["compute_ns"]) for row in report.layers.to_pylist()]
    assert whose == [(1, 150), (2, 40)]
    assert "several processes use device number 0" in report.notes[-1]
    rows = coverage(trace(RANKS)).to_pylist()
    assert [(row["process"], row["kernels"]) for row in rows] == [(None, 4), (1, 2), (2, 2)]


def test_idle_time_is_of_the_device_of_each_process():
    found = gaps(trace(RANKS))
    assert [(one.process, one.idle_union_ns) for one in found.devices] == [(1, 50), (2, 100)]
    assert found.overall.idle_union_ns == 50
    assert [row["process"] for row in found.large.to_pylist()] == [2, 1]
    assert "device number 0" in figures(trace(RANKS))["device_notes"][0]
    (one,) = gaps(trace(RANKS, MACHINE_NUMBERS)).devices
    assert (one.process, one.processes, one.idle_union_ns) == (None, 2, 50)
    assert figures(trace(RANKS, MACHINE_NUMBERS))["device_notes"] == []


def test_a_number_of_one_process_needs_no_process_beside_it():
    rows = [activity("kernel", 0, 9, 1, 0), activity("kernel", 20, 29, 2, 1)]
    found = gaps(trace(rows))
    assert [(one.device, one.process) for one in found.devices] == [(0, None), (1, None)]
    assert found.notes == ()


def test_what_no_process_is_known_of_makes_no_device_of_its_own_beside_one_process():
    rows = [activity("kernel", 0, 9, 1), activity("kernel", 20, 29, None)]
    assert [one.kernels for one in gaps(trace(rows)).devices] == [2]


def test_the_reader_says_so_where_the_numbers_are_the_machines(tmp_path):
    path = changed(export(GRAPH_NODES, tmp_path), "UPDATE TARGET_INFO_CUDA_DEVICE SET gpuId = 5")
    assert MACHINE_NUMBERS in read_nsys_sqlite(path).info.notes


def test_a_device_waits_for_the_processes_that_use_it_only():
    # 2,444,909 if the waits of each process counted for both GPUs
    assert evidence(nsys_trace(TWO_GPUS)).numbers["idle_after_synchronise_ns"] == 1_683_047


@pytest.mark.parametrize(("process", "paused"), [(1, 50), (2, 0), (None, 50)])
def test_a_wait_counts_for_its_process_or_for_all_where_that_is_not_known(process, paused):
    rows = [activity("kernel", 0, 100, 1), activity("kernel", 150, 200, 1)]
    wait = {"name": WAIT, "start_ns": 10, "end_ns": 120, "process": process}
    numbers = evidence(trace(rows, calls=[wait])).numbers
    assert numbers["idle_after_synchronise_ns"] == paused


def test_findings_say_that_they_are_sums_over_devices():
    for name, several in ((TWO_GPUS, True), (GRAPH_NODES, False)):
        made = nsys_trace(name)
        devices = pc.count_distinct(made.activities["device"]).as_py()
        found = {one.rule: one for one in findings(made)}
        assert found["launch-bound"].numbers["summed_over_devices"] == devices
        for rule in ("launch-bound", "transfer-bound", "single hot kernel"):
            assert (f", summed over {devices} devices" in found[rule].statement) == several
            assert ("summed over" in found[rule].statement) == several
