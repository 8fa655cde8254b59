"""Every failed check carries a cause, also where the lists of kernels are the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.align.checks import CHECKS
from harness.align.checks.numerics import numerics
from harness.align.explain.explain import causes_of_an_empty_file, explained
from harness.align.explain.rules import LAST_RESORT, read_rulebook
from harness.align.judge import judge
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation, SideObservation
from harness.measure.model import GraphTopology, Numerics
from harness.record.calls import ModuleCall
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from tests.test_checks import GEMM, TOPK, observation, pair, side, trace

BOOK = read_rulebook()
NAMES = [f"kernel_{at}" for at in "abcdefgh"]


def causes(seen: Observation, check: str) -> list[str]:
    (found,) = (c for c in explained(seen, judge(seen).checks, {}) if c.name == check)
    assert found.status is Status.FAIL, found.reason
    return [cause.name for cause in found.causes]


def files(mock: Trace, reference: Trace) -> Observation:
    sides = (SideObservation("mock", "", eager=mock), SideObservation("reference", "", reference))
    return Observation(*sides, untimed="files", no_numerics="files", live=False)


def several(*forwards: list[str], streams: dict[str, int] | None = None, **row: object) -> Trace:
    """Forwards one after the other; kernels of another stream run beside the one before."""
    rows, clock = [], 0
    for region, names in enumerate(forwards, 1):
        for name in names:
            stream = (streams or {}).get(name, 7)
            start = clock - 10_000 if stream != 7 and not row.get("alone") else clock
            rows.append(
                {"kind": "kernel", "name": name, "start_ns": start, "end_ns": start + 9_000,
                 "stream": stream, "grid": [8, 1, 1], "block": [128, 1, 1], "region": region}
                | {key: value for key, value in row.items() if key != "alone"}
            )  # fmt: skip
            clock = max(clock, start + 10_000)
    regions = [{"id": n, "name": "forward"} for n in range(1, len(forwards) + 1)]
    return Trace(activities_table(rows), TraceInfo("cupti"), regions_table(regions))


@pytest.mark.parametrize("name", CHECKS)
def test_a_failed_check_has_a_cause_whatever_else_is_known(name: str):
    failed = CheckResult(name, Status.FAIL, "it differs", ("here",))
    for seen in (observation(), files(several(NAMES), several(NAMES))):
        (found,) = explained(seen, (failed,), {})
        assert found.causes
        assert all(cause.advice and "unknown" not in cause.observation for cause in found.causes)


def test_the_last_resort_is_left_out_where_another_rule_holds():
    facts = {"this_check_failed": 1, "reason": "r", "first_detail": "d", "missing": 1}
    assert [cause.name for cause in BOOK.causes("missing", facts)] == ["missing kernels"]
    (last,) = BOOK.causes("missing", facts | {"missing": 0})
    assert (last.score, last.observation) == (LAST_RESORT, "r: d")


def test_the_same_launches_in_another_order_are_told_from_missing_ones():
    swapped = [NAMES[1], NAMES[0], *NAMES[2:]]
    assert causes(files(several(swapped), several(NAMES)), "order") == ["other order"]


def test_streams_that_only_the_mock_has_are_its_own():
    apart = several(NAMES, streams={NAMES[3]: 8}, alone=True)
    assert causes(files(apart, several(NAMES)), "order")[0] == "streams of the mock's own"


def test_a_mock_whose_streams_run_at_once_and_one_whose_streams_do_not():
    beside = several(*[NAMES] * 3, streams={NAMES[3]: 8})
    after = several(*[NAMES] * 3, streams={NAMES[3]: 8}, alone=True)
    failed = CheckResult("overlap", Status.FAIL, "they save other shares")
    for mock, reference, cause in (
        (beside, after, "streams of the mock's own"),
        (after, beside, "multi-stream missing"),
    ):
        (found,) = explained(files(mock, reference), (failed,), {})
        assert found.causes[0].name == cause
        assert "%" in found.causes[0].observation


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"registers": 64}, "other build of a kernel"),
        ({"block": [256, 1, 1]}, "autotuner not run"),
        ({"shared_dynamic_bytes": 1024}, "autotuner not run"),
        ({"grid": [9, 1, 1], "name": NAMES[0]}, "other sizes"),
    ],
)
def test_launches_that_differ_on_equal_names_are_explained_by_what_differs(changes, cause):
    base = {"registers": 32, "shared_dynamic_bytes": 0}
    only = [changes["name"]] if "name" in changes else NAMES
    mock = several(only, **{**base, **changes})
    assert causes(files(mock, several(only, **base)), "launch")[0] == cause


@pytest.mark.parametrize("none", [[0, 0, 0], [0, 1, 1]])
def test_a_grid_without_blocks_is_explained_and_no_crash(none):
    reference = several(NAMES, grid=none)
    assert causes(files(several(NAMES), reference), "launch")[0] == "other sizes"


def test_times_that_differ_with_the_names_are_put_down_to_the_names():
    seen = observation(mock=side("mock", GEMM, "own_kernel", TOPK), pair=pair(1.03, (1.028, 1.032)))
    assert causes(seen, "latency")[0] == "other kernels"


def test_single_slower_kernels_in_files_are_explained():
    mock = several(*[NAMES] * 6)
    ends = mock.activities["end_ns"].to_pylist()
    slow = [end + 900 * (at % 8 == 0) for at, end in enumerate(ends)]
    made = activities_table(
        [{**row, "end_ns": end} for row, end in zip(mock.rows(), slow, strict=True)]
    )
    seen = files(replace(mock, activities=made), several(*[NAMES] * 6))
    failed = CheckResult("kernel latency", Status.FAIL, "1 of 8", ("kernel_a: 9.90 us",))
    (found,) = explained(seen, (failed,), {})
    assert found.causes[0].name == "names equal, times different"
    assert "kernel_a" in found.causes[0].observation


def test_forwards_that_vary_are_told_from_a_first_one_that_is_unlike_all_others():
    cold, odd = [*NAMES, "compile"], NAMES[1:]
    varying = files(several(NAMES, NAMES, odd, NAMES), several(*[NAMES] * 4))
    assert causes(varying, "repeats")[0] == "launches vary between calls"
    first = files(several(cold, NAMES, NAMES, NAMES), several(*[NAMES] * 4))
    assert causes(first, "repeats")[0] == "cold caches"


def test_a_graph_that_replays_something_else_than_eager_launches_is_explained():
    seen = observation(mock=side("mock", GEMM, TOPK, eager=trace(GEMM, GEMM, TOPK)))
    assert causes(seen, "graph")[0] == "capture changes the launches"


@pytest.mark.parametrize(
    ("edges", "others", "cause"),
    [
        (((0, 1), (0, 2)), ((0, 2), (1, 2)), "other dependencies"),
        ((), ((0, 1), (1, 2)), "streams of the mock's own"),
        (((0, 1), (1, 2)), (), "multi-stream missing"),
    ],
)
def test_graphs_of_the_same_nodes_are_explained_by_their_edges(edges, others, cause):
    nodes = (("kernel", GEMM), ("kernel", TOPK), ("kernel", "x"))
    seen = observation(
        mock=side("mock", GEMM, TOPK, recorded_topology=GraphTopology(nodes, edges)),
        reference=side("reference", GEMM, TOPK, recorded_topology=GraphTopology(nodes, others)),
    )
    assert causes(seen, "graph")[0] == cause


def test_a_graph_that_is_not_the_timed_one_changes_between_captures():
    one, two = (GraphTopology((("kernel", name),), ()) for name in (GEMM, TOPK))
    unlike = {"timed_topology": one, "recorded_topology": two}
    seen = observation(
        mock=side("mock", GEMM, TOPK, **unlike),
        reference=side("reference", GEMM, TOPK, recorded_topology=two),
    )
    assert "graph changes between captures" in causes(seen, "graph")


def test_launches_that_only_the_running_layer_makes_are_counted():
    layer = SideObservation("in layer", "", eager=trace(GEMM, TOPK, "residual"))
    seen = observation(in_layer=layer)
    (found,) = (c for c in explained(seen, judge(seen).checks, {}) if c.name == "in layer")
    assert found.causes[0].name == "called otherwise in its layer"
    assert found.causes[0].observation.startswith("1 launches of the reference happen only inside")


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"finite": False}, "values not finite"),
        ({"mismatched": 0.3}, "same kernels, other values"),
        ({"problem": "shapes differ"}, "outputs of another form"),
    ],
)
def test_values_that_differ_with_shared_weights_are_explained(values, cause):
    same = Numerics(1.0, 0.5, False, 1e-2, 1e-3, 0.0, True, 10, "cuda")
    seen = observation(numerics=replace(same, **values))
    assert numerics(seen).status is Status.FAIL
    assert causes(seen, "numerics")[0] == cause


def test_the_first_submodule_with_other_values_is_named():
    bad = Numerics(1.0, 0.5, False, 1e-2, 1e-3, 0.3, True, 10, "cuda")
    seen = observation(numerics=bad, submodule_numerics=(("q_a_proj", bad), ("o_proj", bad)))
    (found,) = (c for c in explained(seen, judge(seen).checks, {}) if c.name == "numerics")
    assert found.causes[0].name == "values part in a submodule"
    assert "q_a_proj" in found.causes[0].observation


def test_another_number_of_calls_is_said_with_both_numbers():
    call = ModuleCall("Attention", {"x": 1})
    seen = observation(
        mock=side("mock", GEMM, TOPK, calls=(call, call)),
        reference=side("reference", GEMM, TOPK, calls=(call,)),
    )
    (found,) = (c for c in explained(seen, judge(seen).checks, {}) if c.name == "call parity")
    assert found.causes[0].name == "called another number of times"
    assert "2 times in a forward of the mock and 1 times" in found.causes[0].observation


def test_records_that_were_lost_are_told_from_launches_outside_of_the_forwards():
    whole = trace(GEMM, TOPK)
    lost = side("mock", eager=trace(GEMM, TOPK, incomplete=("3 dropped",)), replay=whole)
    assert causes(observation(mock=lost), "conditions") == ["records lost"]
    rows = [{**row, "region": None} if at else row for at, row in enumerate(whole.rows())]
    outside = side("mock", eager=replace(whole, activities=activities_table(rows)), replay=whole)
    seen = observation(mock=outside)
    assert causes(seen, "conditions") == ["launched outside of the forwards"]


def test_a_second_profiler_that_sees_another_list_is_explained():
    failed = CheckResult("nsys witness", Status.FAIL, "not the same", ("mock eager: order",))
    (found,) = explained(observation(), (failed,), {})
    assert found.causes[0].name == "other process, other launches"
    assert "mock eager: order" in found.causes[0].observation


def test_a_file_without_kernels_says_how_to_record_it():
    (cause,) = causes_of_an_empty_file("mock", 44)
    assert cause.name == "trace without GPU data"
    assert "the mock holds no kernel" in cause.observation
    assert "44" in cause.observation
    (unknown,) = causes_of_an_empty_file("reference")
    assert "--trace=cuda" in unknown.advice
