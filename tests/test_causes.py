"""Causes: every rule can be met, the strongest stands first, edited recordings are explained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import mutation_edits
from benchmarks.mutation_edits import observed, pair, recorded
from harness.align.explain.explain import LOCATE, NO_SIGNAL, causes_for, explained
from harness.align.explain.facts import gather
from harness.align.explain.rules import SHIPPED, CauseRule, read_rulebook
from harness.align.judge import judge
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.compare.judged import judged
from harness.errors import InputError
from harness.measure.model import GraphTopology
from tests.test_checks import GEMM, TOPK, observation, side, trace

BOOK = read_rulebook()
ISSUE = {
    "other heads", "other batch", "other sequence", "other dtype", "indexer not called",
    "KV cache not written", "quantisation on one side", "graph against eager",
    "autotuner not run", "extra copies", "hidden synchronisation", "cold caches", "unfused norm",
    "router collapse", "heads padded to 64", "short-sequence path", "multi-stream missing",
    "clocks", "trace without GPU data", "mock much slower", "missing kernels", "extra kernels",
    "operator not found", "names equal, times different",
}  # fmt: skip


def causes(seen: Observation, check: str, **case: object) -> list[str]:
    checks = explained(seen, judge(seen).checks, case)
    return [cause.name for cause in next(c for c in checks if c.name == check).causes]


def test_every_cause_that_the_troubleshooting_of_guides_knows_has_a_rule():
    assert {rule.cause for rule in BOOK.rules} >= ISSUE


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: f"{rule.cause}-{rule.strength}")
def test_a_rule_leads_to_its_cause_from_the_facts_that_it_requires_and_not_without(rule: CauseRule):
    facts = dict.fromkeys(rule.below, 0.0) | dict(rule.at_least)
    for check in rule.checks:
        assert rule.cause in [cause.name for cause in BOOK.causes(check, facts)]
    for name in rule.at_least:
        assert not rule.holds({**facts, name: None})
    for name in rule.below:
        assert not rule.holds({**facts, name: rule.below[name]})


def test_supporting_facts_raise_a_cause_above_an_equal_one():
    first = CauseRule("a", ("names",), 50, "{x} seen", "mend", {"x": 1})
    second = dataclasses.replace(first, cause="b", supported_by={"y": 1})
    book = dataclasses.replace(BOOK, rules=(first, second))
    assert [c.name for c in book.causes("names", {"x": 1})] == ["a", "b"]
    assert [c.name for c in book.causes("names", {"x": 1, "y": 2})] == ["b", "a"]


def test_an_observation_shows_its_figures_and_unknown_ones_as_unknown():
    rule = CauseRule("a", ("names",), 50, "{x} of {y}", "mend", {"x": 1})
    assert rule.cause_from({"x": 3}).observation == "3 of unknown"


@pytest.mark.parametrize("text", ["[[rule]]\ncause = 1", "[kernels]\na = '('", "x ="])
def test_a_rule_file_that_cannot_be_used_is_an_input_error(tmp_path: Path, text: str):
    path = tmp_path / "causes.toml"
    path.write_text(text)
    with pytest.raises(InputError):
        read_rulebook(path)


def test_fields_that_rules_read_are_facts_that_something_gathers():
    """A fact that is spelled wrongly would silence its rule for ever."""
    source = "".join(path.read_text() for path in SHIPPED.parent.glob("*.py"))
    named = [f"_{word.replace(' ', '_')}" for word in BOOK.kernels]
    quantities = tuple(f"{end}" for end in BOOK.fields)
    given = {"regions", "kernels", "best_score"}  # by whoever locates an operator
    for rule in BOOK.rules:
        for fact in (*rule.at_least, *rule.below, *rule.supported_by):
            known = (
                f'"{fact}"' in source
                or fact in given
                or fact.endswith(tuple(named))
                or fact.startswith(("uncalled_", *quantities))
            )
            assert known, f"nothing gathers {fact}"


@pytest.mark.parametrize(
    ("plant", "check", "cause"),
    [
        ("other_tile", "names", "autotuner not run"),
        ("router_collapse", "launch", "router collapse"),
        ("lower_clocks", "latency", "clocks"),
        ("cold_start", "latency", "cold caches"),
    ],
)
def test_an_edited_recording_of_an_h200_is_explained(plant: str, check: str, cause: str):
    assert causes(mutation_edits.BY_NAME[plant](), check)[0] == cause


def without(pattern: str) -> Observation:
    """The recording of an H200, its mock without kernels of a name."""
    from harness.align.without import without_kernels

    whole = observed(recorded())
    return dataclasses.replace(whole, mock=without_kernels(whole, [pattern]).mock)


@pytest.mark.parametrize(
    ("pattern", "cause"),
    [
        ("mqa_logits|cooperative_topk", "indexer not called"),
        ("concat_and_cache_mla", "KV cache not written"),
        ("indexer_k_quant", "quantisation on one side"),
        ("splitKreduce", "missing kernels"),
    ],
)
def test_kernels_missing_from_a_recording_of_an_h200_are_explained(pattern: str, cause: str):
    assert causes(without(pattern), "missing")[0] == cause


def test_copies_that_only_the_mock_makes_are_extra_copies():
    whole = without("direct_copy_kernel")
    assert whole.reference is not None
    turned = dataclasses.replace(
        whole,
        mock=dataclasses.replace(whole.reference, label="mock"),
        reference=dataclasses.replace(whole.mock, label="reference"),
    )
    assert causes(turned, "extra")[0] == "extra copies"


def test_a_norm_of_single_steps_against_a_fused_one_is_an_unfused_norm():
    steps = ("pow_tensor_scalar_kernel", "MeanOps", "rsqrt_kernel_cuda")
    seen = observation(
        mock=side("mock", GEMM, *steps), reference=side("reference", GEMM, "rms_norm_kernel")
    )
    assert causes(seen, "missing")[0] == "unfused norm"


def test_a_side_that_is_captured_and_one_that_is_not_are_told_from_one_that_waits():
    lonely = {"replay": None, "captured": False}
    plain = side("mock", GEMM, TOPK, graph_problem="use_cuda_graph=False", **lonely)
    assert causes(observation(mock=plain), "graph")[0] == "graph against eager"
    waits = "operation not permitted when stream is capturing"
    waiting = side("mock", GEMM, TOPK, graph_problem=waits, **lonely)
    assert causes(observation(mock=waiting), "graph")[0] == "hidden synchronisation"


def test_fewer_branches_than_the_reference_are_missing_streams():
    nodes = (("kernel", GEMM), ("kernel", TOPK))
    apart, chain = GraphTopology(nodes, ()), GraphTopology(nodes, ((0, 1),))
    seen = observation(
        mock=side("mock", GEMM, TOPK, recorded_topology=chain),
        reference=side("reference", GEMM, TOPK, recorded_topology=apart),
    )
    assert "multi-stream missing" in causes(seen, "graph")


def test_the_same_kernels_in_other_times_are_named_last_and_a_slow_mock_too():
    slow = observed(recorded(), pair=pair(1.6))
    found = causes(slow, "latency")
    assert found[-2:] == ["names equal, times different", "mock much slower"]


def test_grids_that_scale_together_are_another_batch_or_sequence():
    names = [f"kernel_{at}" for at in range(5)]
    other = trace(*names, grid=16)
    seen = observation(
        mock=side("mock", eager=other, replay=other), reference=side("reference", *names)
    )
    assert causes(seen, "launch")[0] == "other batch or sequence"


def test_a_trace_without_gpu_data_says_how_to_record_it():
    found = judged(observation(mock=side("mock", replay=None)), {}, (), {})
    assert [cause.name for cause in found.causes] == ["trace without GPU data"]
    assert "--trace=cuda" in found.causes[0].advice
    assert causes_for(NO_SIGNAL, {"empty_sides": 0}) == ()


def test_an_operator_that_was_not_found_may_be_fused_or_have_no_ranges():
    (cause,) = causes_for(LOCATE, {"regions": 0, "kernels": 900, "best_score": 0.2})
    assert cause.name == "operator not found"
    assert "0.20" in cause.observation


def test_equal_recordings_have_no_failures_and_so_no_causes():
    whole = observed(recorded(), pair=pair(1.0))
    assert not [c for c in explained(whole, judge(whole).checks, {}) if c.causes]


def test_only_failures_carry_causes():
    seen = observation(mock=side("mock", GEMM))
    checks = explained(seen, judge(seen).checks, {})
    assert all(not c.causes or c.status is Status.FAIL for c in checks)
    assert all(c.causes for c in checks if c.name in ("names", "missing"))
    facts = gather(seen, (CheckResult("names", Status.FAIL, ""),), {}, BOOK)
    assert facts["missing"] == 1


@pytest.mark.parametrize(
    "check", ["names", "counts", "missing", "extra", "order", "fusion", "graph"]
)
def test_tensors_that_are_known_to_differ_come_before_tuning(check: str):
    tiles = {"same_family_exchanges": 3, "same_family_share_of_changes": 1, "exchanged_family": "x"}
    plain = [c.name for c in BOOK.causes(check, tiles | {"sizes_differ": 0})]
    assert plain[0] == "autotuner not run"
    strides = tiles | {"sizes_differ": 1, "strides_that_differ": 2, "shapes_that_differ": 0}
    assert [c.name for c in BOOK.causes(check, strides)] == ["extra copies", "autotuner not run"]
    shapes = tiles | {"sizes_differ": 1, "shapes_that_differ": 2}
    assert BOOK.causes(check, shapes)[0].name == "other configuration"


def test_copies_are_quantisation_where_they_quantise():
    facts = {"extra": 2, "extra_copy": 2, "copy_share_of_extra": 1, "strides_that_differ": 1,
             "extra_quantisation": 1, "missing_quantisation": 0}  # fmt: skip
    for check in ("names", "counts", "extra"):
        names = [cause.name for cause in BOOK.causes(check, facts)]
        assert names[:2] == ["quantisation on one side", "extra copies"]
