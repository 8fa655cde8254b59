"""Findings: each rule is made to hold by a Trace that has what it looks for, and by no other."""

from __future__ import annotations

import pytest

from harness.analyze.findings import SHIPPED, findings
from harness.analyze.rules import Rule, Status, in_words, judge, read_rules
from harness.errors import InputError, NoSignalError
from harness.trace import Trace, TraceInfo, activities_table, calls_table
from tests.analyze_support import nsys_trace

LAUNCH = "cudaLaunchKernel_v7000"


def kernels(many, length, pause, *, name="gemm", late=10):
    """A kernel every ``length + pause`` ns, each launched ``late`` ns before it starts."""
    rows, calls = [], []
    for number in range(many):
        start = 1000 + number * (length + pause)
        row = {"kind": "kernel", "name": name, "start_ns": start, "end_ns": start + length}
        rows.append(row | {"process": 1, "device": 0, "stream": 7, "correlation": number})
        row = {"name": LAUNCH, "start_ns": start - late, "end_ns": start - late + 5, "process": 1}
        calls.append(row | {"correlation": number})
    return rows, [*calls, {"name": "cudaEventRecord_v3020", "start_ns": 0, "end_ns": 1}]


def copies(many, length, pause, name="HtoD", kind="memcpy"):
    rows, _ = kernels(many, length, pause, name=name)
    return [row | {"kind": kind, "stream": 8, "correlation": None} for row in rows]


def trace(rows, calls=()):
    return Trace(activities_table(rows), TraceInfo("test"), calls=calls_table(calls))


def found(made):
    return {one.rule: one for one in findings(made) if one.status is Status.FOUND}


def unknown(made):
    return {one.rule: one.statement for one in findings(made) if one.status is Status.UNKNOWN}


def test_small_kernels_with_pauses_that_streams_run_dry_in_are_launch_bound():
    made = found(trace(*kernels(600, 100, 100)))
    assert set(made) == {"launch-bound", "low graph coverage", "single hot kernel"}
    assert made["launch-bound"].numbers["idle_stream_share_of_launches"] == 1
    assert made["launch-bound"].thresholds["device_idle_share_of_wall"] == ">= 0.2"


def test_launches_that_wait_in_a_queue_are_not_launch_bound():
    assert "launch-bound" not in found(trace(*kernels(600, 100, 100, late=500)))


def test_idle_time_after_synchronising_is_sync_bound():
    rows, calls = kernels(10, 100, 100)
    waits = [
        {"name": "cudaStreamSynchronize_v3020", "start_ns": row["start_ns"], "process": 1}
        | {"end_ns": row["end_ns"] + 20}
        for row in rows
    ]
    made = found(trace(rows, [*calls, *waits]))
    assert made["sync-bound"].numbers["idle_after_synchronise_ns"] == 900
    assert "sync-bound" not in found(trace(rows, calls))


def test_copies_that_run_alone_are_transfer_bound_and_hidden_ones_are_not():
    rows, calls = kernels(10, 100, 100)
    alone = [row | {"start_ns": row["end_ns"], "end_ns": row["end_ns"] + 90} for row in rows]
    alone = [row | {"kind": "memcpy", "name": "HtoD", "stream": 8} for row in alone]
    made = found(trace([*rows, *alone], calls))
    assert {"transfer-bound", "low overlap"} <= set(made)
    assert made["transfer-bound"].numbers["exposed_copy_ns"] == 900
    made = found(trace([*rows, *copies(10, 90, 110)], calls))
    assert not {"transfer-bound", "low overlap"} & set(made)


def test_nccl_kernels_that_run_alone_are_found():
    rows, calls = kernels(10, 100, 100)
    alone = [row | {"start_ns": row["end_ns"], "end_ns": row["end_ns"] + 90} for row in rows]
    alone = [row | {"name": "ncclDevKernel_AllReduce", "stream": 9} for row in alone]
    assert "low communication overlap" in found(trace([*rows, *alone], calls))


def test_kernels_in_graphs_are_not_short_of_graph_coverage():
    rows, calls = kernels(600, 100, 100)
    assert "low graph coverage" in found(trace(rows, calls))
    rows = [row | {"graph_node": 3} for row in rows]
    assert "low graph coverage" not in found(trace(rows, calls))


def test_allocating_while_the_device_works_is_churn_and_before_it_is_not():
    rows, calls = kernels(100, 100, 10)

    def allocations(offset):
        starts = [offset + 400 * number for number in range(25)]
        rows = [{"start_ns": start, "end_ns": start + 50} for start in starts]
        return [row | {"name": "cudaMalloc_v3020"} for row in rows]

    made = found(trace(rows, [*calls, *allocations(1000)]))
    assert made["allocation churn"].numbers["allocations_per_100_kernels"] == 25
    assert "allocation churn" not in found(trace(rows, [*calls, *allocations(-100_000)]))


def test_what_the_trace_cannot_tell_is_unknown_and_says_why():
    made = unknown(trace(kernels(3, 100, 100)[0]))
    assert made["launch-bound"] == made["sync-bound"] == "the Trace has no API calls"
    assert made["low graph coverage"] == "the Trace cannot tell which kernels are in graphs"
    assert made["low overlap"] == "the Trace has no copies"


def test_a_recording_of_launches_only_cannot_tell_what_waits():
    rows, calls = kernels(3, 100, 100)
    made = unknown(trace(rows, calls[:-1]))
    assert "launch-bound" not in made
    assert made["sync-bound"] == "the Trace has no API calls but launches, copies and fills"


def test_a_trace_without_kernels_is_no_healthy_one():
    with pytest.raises(NoSignalError):
        findings(trace([]))
    with pytest.raises(NoSignalError):
        findings(trace(copies(3, 10, 10)))


def test_kernels_shorter_than_the_clock_of_the_file_divide_nothing_by_zero():
    rows, calls = kernels(3, 0, 0)
    assert found(trace(rows, calls)) == {}


def test_the_hot_kernel_of_a_real_run_is_named_with_its_share():
    made = found(nsys_trace("nsys2025.3_t4_power_iteration_nvtx.sqlite"))
    hot = made["single hot kernel"]
    assert "gemv2T_kernel_val" in hot.statement
    assert hot.numbers["hot_kernel_ns"] == 1_074_732_935
    assert hot.numbers["hot_kernel_share_of_kernel_ns"] == pytest.approx(
        1_074_732_935 / 1_131_742_684
    )


def test_every_rule_of_a_real_run_has_its_numbers():
    for finding in findings(nsys_trace("nsys2025.3_h200_vllm_dsa_graph_nodes.sqlite")):
        assert finding.numbers
        assert "{" not in finding.statement
        assert bool(finding.advice) == (finding.status is Status.FOUND)


def test_every_shipped_rule_has_a_condition_and_says_what_to_do():
    for rule in read_rules(SHIPPED):
        assert rule.statement
        assert rule.advice
        assert {**rule.at_least, **rule.below}


def test_thresholds_of_ones_own_can_be_given(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[rule]]\nname = "any"\nstatement = "{kernels} kernels"\nadvice = "go"\n'
        "at_least = { kernels = 3 }\n"
    )
    (finding,) = findings(trace(kernels(3, 100, 100)[0]), own)
    assert (finding.status, finding.statement) == (Status.FOUND, "3 kernels")
    with pytest.raises(InputError, match=r"none\.toml"):
        findings(trace(kernels(3, 1, 1)[0]), tmp_path / "none.toml")


def test_a_name_that_looks_like_a_number_to_fill_in_stays_as_it_is():
    rule = Rule("any", "{name} runs", "go", at_least={"n": 1})
    (finding,) = judge([rule], {"n": 1, "name": "f{n}{secret}"}, {})
    assert finding.statement == "f{n}{secret} runs"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("wall_ns", 950, "950 ns"),
        ("wall_ns", 1_234_567, "1.23 ms"),
        ("idle_share_of_wall", 0.1234, "12.3 %"),
        ("hot_share_of_kernel_ns", 0.5, "50.0 %"),
        ("mean_copy_bytes", 2e6, "2.00 MB"),
        ("copy_bytes_per_s", 5.5e10, "55.00 GB/s"),
        ("kernels", 12345, "12,345"),
        ("kernels", None, "unknown"),
    ],
)
def test_numbers_are_written_with_their_units(name, value, text):
    assert in_words(name, value) == text
