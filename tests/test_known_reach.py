"""How far a declaration reaches: what it names, up to its bound, and nothing beside it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from harness.align.judge import verdict_of
from harness.align.known import Declaration
from harness.align.model import CheckResult, Status, Verdict
from harness.align.observation import Observation, SideObservation
from harness.measure.inside import Inside
from harness.measure.model import GraphTopology
from harness.record.calls import ModuleCall
from harness.record.dataflow import Flow, TensorSpec
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from tests.test_checks import GEMM, TOPK, observation, pair, side
from tests.test_known import TODAY, applied, failing

NORM = ("pow_kernel", "mean_kernel", "rsqrt_kernel")
FUSED = "rms_norm_kernel"
OTHERS = tuple(f"gemm_{at}" for at in range(8))


def declared(name: str = "d", **fields) -> Declaration:
    return Declaration(name, "r", "e", expires=TODAY, **fields)


def recorded(*names: str, streams=None, times=None, grids=None, forwards: int = 1) -> Trace:
    """Forwards of 10 us kernels, one after the other, or at ``times`` (start, end in us)."""
    noise = random.Random(str(times))
    rows = []
    for forward in range(forwards):
        for at, name in enumerate(names):
            start, end = (times or {}).get(at, (11 * at, 11 * at + 10))
            jitter = noise.randrange(-10, 10) if forwards > 1 else 0
            rows.append(
                {
                    "kind": "kernel",
                    "name": name,
                    "start_ns": 1000 * start + 10**9 * forward,
                    "end_ns": 1000 * end + 10**9 * forward + jitter,
                    "stream": (streams or {}).get(at, 7),
                    "grid": [(grids or {}).get(at, 8), 1, 1],
                    "block": [128, 1, 1],
                    "region": forward + 1,
                }
            )
    regions = [{"id": forward + 1, "name": "forward"} for forward in range(forwards)]
    return Trace(activities_table(rows), TraceInfo("cupti"), regions_table(regions))


def two(mock: Trace, reference: Trace) -> Observation:
    return Observation(
        SideObservation("mock", "m", eager=mock, flows_missing="no module"),
        SideObservation("reference", "r", eager=reference, flows_missing="no module"),
        untimed="not timed",
        no_numerics="not run",
    )


def status(checks: tuple[CheckResult, ...], name: str) -> Status:
    return next(check.status for check in checks if check.name == name)


def unfused() -> Observation:
    mock = recorded(*OTHERS[:4], *NORM, *OTHERS[4:])
    return two(mock, recorded(*OTHERS[:4], FUSED, *OTHERS[4:]))


def test_an_unfused_norm_is_declared_by_its_kernels():
    norm = declared(kernel="^(pow|mean|rsqrt|rms_norm)_kernel$")
    checks, (shown,) = applied(unfused(), norm)
    assert status(checks, "fusion") is Status.KNOWN
    assert verdict_of(unfused(), checks)[0] is Verdict.ALIGNED
    assert shown.state == "met"


def test_fusion_fails_on_where_a_kernel_of_the_place_is_not_declared():
    checks, (shown,) = applied(unfused(), declared(kernel="^(pow|mean|rsqrt)_kernel$"))
    assert {"fusion", "names", "missing"} <= failing(checks)
    assert "extra" not in failing(checks)
    assert shown.state == "met"


def test_kernels_that_run_beside_others_on_one_side_only_are_declared_by_name():
    mock = recorded(*OTHERS, "prefetch")
    reference = recorded(*OTHERS, "prefetch", streams={8: 9}, times={8: (0, 60)})
    checks, _ = applied(two(mock, reference), declared(kernel="^prefetch$"))
    assert status(applied(two(mock, reference))[0], "overlap") is Status.FAIL
    assert status(checks, "overlap") is Status.KNOWN


def test_a_declared_kernel_may_not_have_another_grid():
    mock = recorded(*OTHERS, "gather", grids={8: 1})
    observed = two(mock, recorded(*OTHERS, "gather"))
    checks, (shown,) = applied(observed, declared(kernel="gather"))
    assert failing(checks) == {"launch"}
    assert (shown.state, shown.message) == ("not needed", "nothing it names was found")
    checks, (shown,) = applied(observed, declared(kernel="gather", check="launch"))
    assert status(checks, "launch") is Status.KNOWN
    assert shown.check == "launch of kernel gather"


def test_a_declared_launch_covers_no_other_kernels_grid_and_no_missing_kernel():
    mock = recorded(*OTHERS, "gather", grids={0: 1, 8: 1})
    launch = declared(kernel="gather", check="launch")
    checks, (shown,) = applied(two(mock, recorded(*OTHERS, "gather")), launch)
    assert failing(checks) == {"launch"}
    assert shown.state == "not met"
    assert shown.message == "launch failed by more than what is declared"
    checks, _ = applied(two(recorded(*OTHERS, "gather"), recorded(*OTHERS)), launch)
    assert "extra" in failing(checks)


@pytest.mark.parametrize("check", ["", "launch"])
def test_kernels_that_are_most_of_a_list_are_refused(check: str):
    mock = recorded(*OTHERS, grids={2: 1})
    checks, (shown,) = applied(two(mock, recorded(*OTHERS)), declared(kernel="gemm", check=check))
    assert failing(checks) == {"launch"}
    assert shown.state == "too wide"
    assert "it finds 8 of the 8 different names of the mock" in shown.message


def test_declarations_that_are_most_of_a_list_only_together_are_refused():
    both = (declared("a", kernel="gemm_[0-3]"), declared("b", kernel="gemm_[4-7]"))
    observed = two(recorded(*OTHERS), recorded(*(f"other_{at}" for at in range(8))))
    checks, shown = applied(observed, *both)
    assert "names" in failing(checks)
    assert [one.state for one in shown] == ["too wide", "too wide"]
    assert "all declarations of kernels together find 8 of the 8" in shown[0].message


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"rel_l2": 0.01}, True),
        ({"rel_l2": 0.1}, False),
        ({"rel_l2": 0.01, "finite": False}, False),
        ({"rel_l2": 0.01, "problem": "shapes differ"}, False),
        ({"rel_l2": float("nan")}, False),
    ],
)
def test_outputs_are_covered_up_to_the_bound_and_never_where_not_finite(change, known):
    same = observation().numerics
    observed = observation(numerics=replace(same, mismatched=0.5, bitwise=False, **change))
    checks, _ = applied(observed, declared(check="numerics", most=0.05))
    assert status(checks, "numerics") is (Status.KNOWN if known else Status.FAIL)


@pytest.mark.parametrize(("rel_l2", "known"), [(0.01, True), (0.1, False)])
def test_outputs_of_submodules_are_under_the_same_bound(rel_l2: float, known: bool):
    inside = Inside(1.0, rel_l2, False, 1e-2, 1e-3, 0.5, True, 10, "cuda")
    observed = observation(submodule_numerics=(("gate", inside),))
    checks, _ = applied(observed, declared(check="numerics", most=0.05))
    assert status(checks, "numerics") is (Status.KNOWN if known else Status.FAIL)


def slower(by: float) -> Observation:
    """The third of twelve kernels takes ``by`` times as long in the mock."""
    names = tuple(f"gemm_{at}" for at in range(12))
    mock = recorded(*names, times={2: (200, 200 + 10 * by)}, forwards=8)
    return two(mock, recorded(*names, times={2: (200, 210)}, forwards=8))


@pytest.mark.parametrize(
    ("by", "fields", "known"),
    [
        (1.3, {"most": 0.4}, True),
        (1.3, {"most": 0.4, "kernel": "gemm_2$"}, True),
        (1.3, {"most": 0.4, "kernel": "gemm_3"}, False),
        (1.3, {"most": 0.1}, False),
        (10, {"most": 0.9}, False),
    ],
)
def test_slower_kernels_are_covered_up_to_the_bound(by: float, fields, known: bool):
    assert "kernel latency" in failing(applied(slower(by))[0])
    checks, _ = applied(slower(by), declared(check="kernel latency", **fields))
    assert status(checks, "kernel latency") is (Status.KNOWN if known else Status.FAIL)


def test_overlap_is_covered_up_to_the_bound():
    mock = recorded(*OTHERS)
    reference = recorded(*OTHERS, streams={7: 9}, times={7: (0, 20)})
    for most, known in ((0.5, True), (0.05, False)):
        checks, _ = applied(two(mock, reference), declared(check="overlap", most=most))
        assert status(checks, "overlap") is (Status.KNOWN if known else Status.FAIL)


def called(**arguments: object) -> ModuleCall:
    return ModuleCall("M", arguments)


def calls(mock: ModuleCall) -> Observation:
    return observation(
        mock=side("mock", GEMM, TOPK, calls=(mock,)),
        reference=side("reference", GEMM, TOPK, calls=(called(scale=1, mask=2),)),
    )


def with_input(dtype: str) -> Observation:
    flows = [
        Flow("rotary_emb", 0, {"in.x": TensorSpec((8, 4), (4, 1), one, "cuda")})
        for one in (dtype, "bf16")
    ]
    return observation(
        mock=side("mock", GEMM, TOPK, flows=(flows[0],)),
        reference=side("reference", GEMM, TOPK, flows=(flows[1],)),
    )


def test_a_tensor_is_declared_with_its_values_or_without():
    place = declared(check="data flow", matching=(r"rotary_emb in\.x",))
    line = declared(check="data flow", matching=(r"rotary_emb in\.x: .*fp32.* against .*bf16.*",))
    part = declared(check="data flow", matching=("rotary_emb",))
    for one, dtype, known in (
        (place, "fp32", True),
        (place, "fp16", True),
        (line, "fp32", True),
        (line, "fp16", False),
        (part, "fp32", False),
    ):
        checks, _ = applied(with_input(dtype), one)
        assert status(checks, "data flow") is (Status.KNOWN if known else Status.FAIL)


@pytest.mark.parametrize("text", ["scale", "scale: value 3 against 1"])
def test_a_field_is_declared_by_its_place_or_by_its_line(text: str):
    scale = declared(check="call parity", matching=(text,))
    checks, _ = applied(calls(called(scale=3, mask=2)), scale)
    assert status(checks, "call parity") is Status.KNOWN
    checks, (shown,) = applied(calls(called(scale=3, mask=5)), scale)
    assert status(checks, "call parity") is Status.FAIL
    assert shown.state == "not met"


def test_another_value_than_the_declared_line_has_fails():
    scale = declared(check="call parity", matching=("scale: value 3 against 1",))
    checks, (shown,) = applied(calls(called(scale=4, mask=2)), scale)
    assert status(checks, "call parity") is Status.FAIL
    assert shown.state == "not needed"


def test_lines_of_the_graph_are_declared_and_others_still_fail():
    nodes = (("kernel", GEMM), ("kernel", TOPK))
    observed = observation(
        mock=side("mock", GEMM, TOPK, recorded_topology=GraphTopology(nodes, ((0, 1),))),
        reference=side("reference", GEMM, TOPK, recorded_topology=GraphTopology(nodes, ())),
    )
    found = next(check for check in applied(observed)[0] if check.name == "graph")
    assert found.status is Status.FAIL
    for pattern, known in (
        (".*(branches|node|nodes) .*", Status.KNOWN),
        ("5 nodes .*", Status.FAIL),
    ):
        checks, _ = applied(observed, declared(check="graph", matching=(pattern,)))
        assert status(checks, "graph") is known


def test_a_failure_of_more_lines_than_are_kept_is_not_declared_by_lines():
    nodes = tuple(("kernel", f"gemm_{at}") for at in range(12))
    chain = tuple((at, at + 1) for at in range(11))
    reversed_chain = tuple((at + 1, at) for at in range(11))
    sides = (side(name, *OTHERS) for name in ("mock", "reference"))
    mock, reference = (
        replace(one, recorded_topology=GraphTopology(nodes, edges))
        for one, edges in zip(sides, (chain, reversed_chain), strict=True)
    )
    every = declared(check="graph", matching=("(the|node|and) [^~]*",))
    checks, _ = applied(observation(mock=mock, reference=reference), every)
    found = next(check for check in checks if check.name == "graph")
    assert found.details[-1].endswith("more")
    assert found.status is Status.FAIL


def test_a_declaration_without_a_part_is_shown_as_not_needed():
    extra = two(recorded(*OTHERS, "gather"), recorded(*OTHERS))
    gather = declared("gather", kernel="gather")
    stale = declared("stale", kernel="gemm_0")
    again = declared("again", kernel="^gather")
    gone = declared("gone", kernel="no_such_kernel")
    slow = declared("slow", check="latency", most=0.05)
    checks, shown = applied(extra, gather, stale, again, gone, slow)
    names = next(check for check in checks if check.name == "names")
    assert names.reason.startswith("known (gather): ")
    states = {one.name: (one.state, one.message) for one in shown}
    assert states == {
        "gather": ("met", ""),
        "stale": ("not needed", "nothing it names was found"),
        "again": ("not needed", "other declarations cover what it names"),
        "gone": ("not needed", "nothing it names was found"),
        "slow": ("not needed", "nothing it names was found"),
    }


def test_what_is_left_of_a_failure_is_said_of_the_declaration():
    extra = two(recorded(*OTHERS, "gather", "clone"), recorded(*OTHERS))
    checks, (shown,) = applied(extra, declared(kernel="gather"))
    assert {"names", "extra"} <= failing(checks)
    assert shown.state == "not met"
    assert shown.message.startswith("names, counts, order, extra failed by more")


def test_an_expired_declaration_beside_one_that_holds_is_remembered():
    extra = two(recorded(*OTHERS, "gather", "clone"), recorded(*OTHERS))
    old = replace(declared("old", kernel="clone"), expires=TODAY.replace(year=2020))
    checks, shown = applied(extra, declared(kernel="gather"), old)
    names = next(check for check in checks if check.name == "names")
    assert names.status is Status.FAIL
    assert "old: expired on 2020-12-01" in names.reason
    assert [one.state for one in shown] == ["not met", "expired"]


def test_a_bound_is_not_met_by_a_ratio_beyond_it():
    slow = declared(check="latency", most=0.05)
    _, (shown,) = applied(observation(pair=pair(1.08, (1.079, 1.081))), slow)
    assert (shown.state, shown.message) == (
        "not met",
        "latency failed by more than what is declared",
    )
