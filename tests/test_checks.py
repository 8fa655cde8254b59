"""Checks on hand-made observations, for what equal real sides never show."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from harness.align.checks.conditions import conditions
from harness.align.checks.graph import graph
from harness.align.checks.latency import latency
from harness.align.judge import judge
from harness.align.model import Status, Verdict
from harness.align.observation import Observation, SideObservation
from harness.measure.model import (
    Conditions,
    GraphTopology,
    Measurement,
    Numerics,
    PairedMeasurement,
)
from harness.trace import Trace, TraceInfo, activities_table, regions_table

GEMM = "nvjet_sm90_tst_256x128_64x4_1x2_h_bz_coopA_TNT"
TOPK = "_ZN4vllm17topKPerRowPrefillILi512ELb0EEEvv"
CARD = {"sm_clock_mhz": 1980, "power_limit_w": 700.0, "temperature_c": 50, "throttled": False}


def trace(*names: str, grid: int = 8, stream: int = 7, incomplete: tuple[str, ...] = ()) -> Trace:
    rows = [
        {
            "kind": "kernel",
            "name": name,
            "start_ns": 10 * at,
            "end_ns": 10 * at + 5,
            "stream": stream,
            "grid": [grid, 1, 1],
            "block": [128, 1, 1],
            "region": 1,
        }
        for at, name in enumerate(names)
    ]
    regions = regions_table([{"id": 1, "name": "forward"}])
    return Trace(activities_table(rows), TraceInfo("cupti", incomplete=incomplete), regions)


def side(label: str, *names: str, **changes: object) -> SideObservation:
    made = SideObservation(label, label, eager=trace(*names), replay=trace(*names), captured=True)
    return replace(made, **changes)


def pair(ratio: float, ci95: tuple[float, float]) -> PairedMeasurement:
    noise = random.Random(0)
    reference = tuple(1 + noise.gauss(0, 1e-4) for _ in range(40))
    mock = tuple(ratio * value for value in reference)
    return PairedMeasurement(
        Measurement("mock", mock, 4, "graph"),
        Measurement("reference", reference, 4, "graph"),
        ratio,
        ci95,
        "bootstrap",
    )


def observation(**changes: object) -> Observation:
    same = Numerics(0.0, 0.0, True, 1e-2, 1e-3, 0.0, True, 10, "cuda")
    made = Observation(
        side("mock", GEMM, TOPK),
        side("reference", GEMM, TOPK),
        pair=pair(1.0, (0.999, 1.001)),
        numerics=same,
        conditions=Conditions(CARD, CARD),
    )
    return replace(made, **changes)


def statuses(observed: Observation) -> dict[str, Status]:
    return {check.name: check.status for check in judge(observed).checks}


def test_equal_observations_are_aligned():
    assert judge(observation()).verdict is Verdict.ALIGNED


@pytest.mark.parametrize(
    ("interval", "status"),
    [
        ((0.995, 1.009), Status.PASS),
        ((1.011, 1.02), Status.FAIL),
        ((0.97, 0.985), Status.FAIL),
        ((0.995, 1.011), Status.INCONCLUSIVE),
        ((0.9, 1.1), Status.INCONCLUSIVE),
    ],
)
def test_latency_passes_inside_fails_outside_and_is_open_across_the_edge(interval, status):
    assert latency(observation(pair=pair(1.0, interval))).status is status


def test_a_kernel_that_is_only_in_the_reference_is_missing():
    found = statuses(observation(mock=side("mock", GEMM)))
    failed = {name for name, status in found.items() if status is Status.FAIL}
    assert failed == {"names", "counts", "order", "missing"}


def test_the_same_kernels_in_another_order_fail_order_alone():
    found = statuses(observation(mock=side("mock", TOPK, GEMM)))
    assert [name for name, status in found.items() if status is Status.FAIL] == ["order"]


def test_another_grid_of_the_same_kernel_fails_launch_alone():
    other = trace(GEMM, TOPK, grid=4)
    found = statuses(observation(mock=side("mock", eager=other, replay=other)))
    assert [name for name, status in found.items() if status is Status.FAIL] == ["launch"]


def test_stream_ids_are_not_compared():
    other = trace(GEMM, TOPK, stream=99)
    assert judge(observation(mock=side("mock", eager=other, replay=other))).verdict == "aligned"


def test_only_one_side_captured_fails_the_graph_check():
    alone = side("mock", GEMM, TOPK, replay=None, captured=False, graph_problem="it syncs")
    result = graph(observation(mock=alone))
    assert result.status is Status.FAIL
    assert "it syncs" in result.details[0]


def test_neither_side_captured_is_the_same_behaviour():
    alone = {"replay": None, "captured": False, "graph_problem": "it syncs"}
    observed = observation(
        mock=side("mock", GEMM, **alone), reference=side("reference", GEMM, **alone)
    )
    assert graph(observed).status is Status.PASS


def test_a_replay_that_launches_something_else_than_eager_fails_the_graph_check():
    observed = observation(mock=side("mock", GEMM, TOPK, eager=trace(GEMM, GEMM, TOPK)))
    result = graph(observed)
    assert result.status is Status.FAIL
    assert any("only eager launches" in line for line in result.details)


def test_a_recorded_graph_that_is_not_the_timed_one_fails_the_graph_check():
    timed = GraphTopology((("kernel", GEMM), ("kernel", TOPK)), ((0, 1),))
    recorded = GraphTopology((("kernel", GEMM),), ())
    mock = side("mock", GEMM, TOPK, timed_topology=timed, recorded_topology=recorded)
    assert any("not the timed one" in line for line in graph(observation(mock=mock)).details)


def test_dropped_records_invalidate_the_capture_whatever_else_failed():
    lossy = trace(GEMM, incomplete=("3 records were dropped",))
    found = judge(observation(mock=side("mock", eager=lossy, replay=lossy)))
    assert found.verdict is Verdict.INVALID_CAPTURE
    assert found.verdict.exit_code == 3


def test_a_side_that_launches_nothing_has_no_signal():
    found = judge(observation(mock=side("mock", eager=trace(), replay=None)))
    assert found.verdict is Verdict.NO_SIGNAL
    assert "the mock launched nothing" in found.summary


def test_no_reference_has_no_signal_and_says_why():
    found = judge(observation(reference=None, reference_missing="name one"))
    assert (found.verdict, "name one" in found.summary) == (Verdict.NO_SIGNAL, True)


def test_hardware_throttling_leaves_the_verdict_open():
    hot = {**CARD, "throttled": True, "clock_event_reasons": ["hw_thermal_slowdown"]}
    found = judge(observation(conditions=Conditions(CARD, hot)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "conditions" in found.summary


def test_a_change_of_the_card_leaves_the_verdict_open_and_is_named_in_one_line():
    known = {**CARD, "process_ids": [], "ecc_errors": {"corrected": 0}}
    shared = {**known, "process_ids": [9], "power_limit_w": 500.0}
    found = judge(observation(conditions=Conditions(known, shared)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "power limit 700.0 -> 500.0 W, and 1 more" in found.summary
    check = next(check for check in found.checks if check.name == "conditions")
    assert len(check.details) == 2


def test_a_structural_failure_outranks_a_changed_card():
    hot = {**CARD, "throttled": True, "clock_event_reasons": ["hw_thermal"]}
    observed = observation(mock=side("mock", GEMM), conditions=Conditions(CARD, hot))
    assert judge(observed).verdict is Verdict.DIVERGED


def test_throttling_that_only_the_readings_in_between_saw_leaves_the_verdict_open():
    during = {"readings": 9, "throttled": True, "clock_event_reasons": ["sw_thermal"]}
    result = conditions(observation(conditions=Conditions(CARD, CARD, during=during)))
    assert result.status is Status.INCONCLUSIVE
    assert "throttled during timing: sw_thermal" in result.reason


def test_what_was_seen_in_between_is_shown_and_so_is_that_nothing_was():
    during = {"readings": 9, "sm_clock_mhz": [1905, 1980], "throttled": False}
    card = {**CARD, "process_ids": [4], "violations_ns": {"power": 0}}
    capped = {**card, "violations_ns": {"power": 120_000_000}}
    shown = conditions(observation(conditions=Conditions(card, capped, during=during)))
    assert shown.status is Status.PASS
    assert "1905 to 1980 in 9 readings between" in shown.reason
    assert "power cap for 120 ms" in shown.reason
    assert "1 other process on the card" in shown.reason
    blind = conditions(observation(conditions=Conditions(CARD, CARD, unsampled="no process")))
    assert blind.status is Status.PASS
    assert "not sampled in between" in blind.reason


def test_sagging_clocks_are_shown_but_interleaved_sides_stay_comparable():
    result = conditions(observation(conditions=Conditions(CARD, {**CARD, "sm_clock_mhz": 1700})))
    assert result.status is Status.PASS
    assert "1980 -> 1700 MHz" in result.reason


def test_a_ratio_that_moves_during_timing_leaves_the_verdict_open():
    steady = pair(1.0, (0.999, 1.001))
    moved = tuple(v * (1.0 if at < 20 else 1.05) for at, v in enumerate(steady.mock.samples_ms))
    drifting = replace(steady, mock=replace(steady.mock, samples_ms=moved))
    result = conditions(observation(pair=drifting))
    assert result.status is Status.INCONCLUSIVE
    assert "the ratio moved" in result.details[0]


def test_a_structural_failure_outranks_an_open_latency():
    observed = observation(mock=side("mock", GEMM), pair=pair(1.0, (0.99, 1.02)))
    assert judge(observed).verdict is Verdict.DIVERGED


def test_a_required_check_that_is_skipped_leaves_the_verdict_open():
    observed = observation(numerics=None, no_numerics="no module", required=frozenset({"numerics"}))
    assert judge(observed).verdict is Verdict.INCONCLUSIVE


def test_the_kernel_table_counts_and_times_each_side():
    rows = {row.name: row for row in judge(observation(mock=side("mock", GEMM, GEMM))).kernels}
    assert (rows[GEMM].match, rows[GEMM].mock_count, rows[GEMM].reference_count) == ("#", 2, 1)
    assert rows[TOPK].match == "-"
    assert rows[GEMM].mock_us == pytest.approx(0.010)


def on_streams(*launches: tuple[str, int]) -> Trace:
    """Kernels in start order, each on its stream."""
    made = trace(*(name for name, _ in launches))
    streams = [stream for _, stream in launches]
    table = made.activities.set_column(
        made.activities.schema.get_field_index("stream"),
        "stream",
        [streams],
    )
    return replace(made, activities=table.cast(made.activities.schema))


def test_two_streams_that_race_are_the_same_in_either_order():
    one = on_streams((GEMM, 1), (TOPK, 2), (GEMM, 1))
    other = on_streams((TOPK, 8), (GEMM, 9), (GEMM, 9))
    observed = observation(
        mock=side("mock", eager=one, replay=other),
        reference=side("reference", eager=other, replay=one),
    )
    assert judge(observed).verdict is Verdict.ALIGNED


def test_the_same_kernels_on_one_stream_instead_of_two_fail_order():
    one = on_streams((GEMM, 1), (TOPK, 2))
    other = on_streams((GEMM, 1), (TOPK, 1))
    observed = observation(mock=side("mock", eager=other, replay=other))
    parallel = side("reference", eager=one, replay=one)
    assert statuses(replace(observed, reference=parallel))["order"] is Status.FAIL


def forwards(*lists: tuple[str, ...]) -> Trace:
    """Several forwards, each with its kernels."""
    rows = [
        {"kind": "kernel", "name": name, "start_ns": 100 * at + n, "end_ns": 100 * at + n + 1,
         "stream": 7, "grid": [8, 1, 1], "block": [128, 1, 1], "region": at}
        for at, names in enumerate(lists, 1)
        for n, name in enumerate(names)
    ]  # fmt: skip
    regions = regions_table([{"id": at, "name": "forward"} for at in range(1, len(lists) + 1)])
    return Trace(activities_table(rows), TraceInfo("cupti"), regions)


def test_a_kernel_that_only_an_earlier_forward_launches_fails_repeats():
    uneven = forwards((GEMM, TOPK, TOPK), (GEMM, TOPK))
    found = statuses(observation(mock=side("mock", eager=uneven, replay=trace(GEMM, TOPK))))
    assert [name for name, status in found.items() if status is Status.FAIL] == ["repeats"]


def test_activities_outside_every_forward_invalidate_the_capture():
    rows = [*trace(GEMM, TOPK).rows(), {"kind": "kernel", "name": GEMM, "stream": 7}]
    stray = replace(trace(GEMM), activities=activities_table(rows))
    found = judge(observation(mock=side("mock", eager=stray, replay=trace(GEMM, TOPK))))
    assert found.verdict is Verdict.INVALID_CAPTURE
    assert "belong to no forward" in found.summary


def test_lost_records_are_named_also_when_nothing_is_left_to_compare():
    empty = trace(incomplete=("CUPTI dropped 999 records",))
    found = judge(observation(mock=side("mock", eager=empty, replay=None)))
    assert found.verdict is Verdict.INVALID_CAPTURE
    assert "999 records" in found.summary


def test_a_graph_that_was_timed_and_cannot_be_captured_again_fails():
    timed = GraphTopology((("kernel", GEMM),), ())
    alone = {"replay": None, "captured": False, "timed_topology": timed, "graph_problem": "oom"}
    observed = observation(
        mock=side("mock", GEMM, **alone), reference=side("reference", GEMM, **alone)
    )
    assert graph(observed).status is Status.FAIL


def test_graphs_that_nothing_is_known_of_leave_the_check_open():
    blind = {"replay": None, "graph_problem": "graph nodes are not read"}
    observed = observation(
        mock=side("mock", GEMM, **blind), reference=side("reference", GEMM, **blind)
    )
    assert graph(observed).status is Status.INCONCLUSIVE


def test_conditions_that_could_not_be_read_leave_the_verdict_open():
    assert judge(observation(conditions=Conditions({}, {}))).verdict is Verdict.INCONCLUSIVE
    traced = Conditions(CARD, CARD, traced_before=True)
    assert "residual" in conditions(observation(conditions=traced)).details[0]


def test_a_reference_that_does_not_repeat_itself_leaves_numerics_open():
    wild = Numerics(5.0, 1.0, False, 1e-2, 1e-3, 0.5, True, 10, "cuda", 9.0, reproducible=False)
    assert statuses(observation(numerics=wild))["numerics"] is Status.INCONCLUSIVE


def test_names_count_as_one_only_where_that_is_declared_and_shown():
    from harness.names import SHIPPED

    one, other = "triton_poi_fused_add_0", "triton_poi_fused_add_17"
    observed = observation(mock=side("mock", one), reference=side("reference", other))
    assert judge(observed).verdict is Verdict.DIVERGED
    declared = replace(observed, equivalences=SHIPPED)
    assert judge(declared).verdict is Verdict.ALIGNED
    assert any(one in line for line in declared.equated)
