"""The file of planted differences is whole, and what needs no GPU is found."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import (
    mutation_edits,
    mutation_neutral,
    mutation_plants,
)
from benchmarks.mutations import (
    case_of,
    named,
    one_difference,
    one_neutral,
    one_pair,
    read_mutations,
)
from harness.align.checks import CHECKS
from harness.align.explain.rules import read_rulebook
from harness.align.forwards import split_forwards
from harness.align.judge import judge
from harness.align.model import Alignment, Cause, CheckResult, Status, Verdict
from ops.registry import operator

TABLES = read_mutations()
ROWS = {row["name"]: row for row in TABLES["difference"]}
HERE = [row for row in TABLES["difference"] if "gpu" not in row["on"]]
META = [row for row in TABLES["difference"] if "meta" in row["on"]]


def test_there_are_enough_of_each_kind():
    assert (len(ROWS), len(TABLES["pair"]), len(TABLES["neutral"])) >= (24, 6, 8)
    planted = [row for row in ROWS.values() if "trace" not in row["on"]]
    kinds = Counter((row["framework"], row["phase"]) for row in planted)
    assert len(kinds) == 4
    assert {row["tp"] for row in planted} == {1, 8}


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row["name"])
def test_a_row_names_a_plant_a_check_a_cause_and_a_case_that_exist(row):
    plants = mutation_edits.BY_NAME if row["on"] == ["trace"] else mutation_plants.BY_NAME
    assert row["plant"] in plants
    assert row["check"] in CHECKS
    assert row["cause"] in {rule.cause for rule in read_rulebook().rules}
    operator("dsa").validate(case_of(row))


def test_pairs_are_of_one_case_and_neutral_changes_exist():
    for pair in TABLES["pair"]:
        one, other = (ROWS[name] for name in pair["names"])
        assert case_of(one).framework == case_of(other).framework
    assert {row["plant"] for row in TABLES["neutral"]} <= mutation_neutral.BY_NAME.keys()


@pytest.mark.parametrize("row", [r for r in HERE if r["on"] == ["trace"]], ids=lambda r: r["name"])
def test_an_edited_recording_is_found_with_its_cause_first(row):
    assert one_difference(row, "trace")["outcome"] == "found"


@pytest.mark.parametrize("row", META, ids=lambda row: row["name"])
def test_a_planted_difference_is_found_with_its_cause_first(row):
    found = one_difference(row, "meta")
    assert found["outcome"] == "found", found
    assert all(found["failing"].values()), "a failed check has no cause"


def test_the_plants_without_a_gpu_have_a_test_of_every_kind_of_cause():
    causes = {row["cause"] for row in (*META, *HERE)}
    assert len(META) == 17
    assert causes >= {
        "other heads", "heads padded to 64", "other batch", "other sequence", "other dtype",
        "short-sequence path", "other weights", "other configuration", "other arguments",
    }  # fmt: skip


def test_of_two_planted_together_both_are_named():
    names = ["one extra clone of the output", "position ids are int32"]
    assert one_pair(names, ROWS, "meta")["outcome"] == "found"


def test_a_neutral_change_is_not_flagged():
    row = next(row for row in TABLES["neutral"] if row["plant"] == "exchanged")
    assert one_neutral(row, "meta", "transformers")["outcome"] == "quiet"


@pytest.mark.parametrize(
    ("causes", "expected"),
    [
        ([("a", 90), ("b", 70)], True),
        ([("b", 40)], True),
        ([("b", 39)], False),  # a rule that only says that something differs
        ([("a", 90), ("c", 80), ("b", 70)], False),
        ([], False),
    ],
)
def test_of_a_pair_a_cause_has_to_stand_among_the_first_two_of_its_own_check(causes, expected):
    made = tuple(Cause(name, "seen", "mend", score) for name, score in causes)
    elsewhere = CheckResult("extra", Status.FAIL, "", causes=(Cause("b", "seen", "mend", 90),))
    own = CheckResult("missing", Status.FAIL, "", causes=made)
    alignment = Alignment({}, Verdict.DIVERGED, "", (own, elsewhere))
    assert named(alignment, {"check": "missing", "cause": "b"}) is expected


def test_where_the_other_plant_makes_up_for_a_check_any_failed_one_will_do():
    failed = CheckResult("counts", Status.FAIL, "", causes=(Cause("b", "seen", "mend", 80),))
    passed = CheckResult("extra", Status.PASS, "")
    alignment = Alignment({}, Verdict.DIVERGED, "", (passed, failed))
    assert named(alignment, {"check": "extra", "cause": "b"})
    assert not named(alignment, {"check": "extra", "cause": "c"})


def test_an_edited_recording_is_of_as_many_forwards_as_the_checks_of_times_need():
    forwards = split_forwards(mutation_edits.recorded())
    assert [len(forward) for forward in forwards] == [69] * 20
    checks = {c.name: c.status for c in judge(mutation_edits.lower_clocks()).checks}
    assert checks["kernel latency"] is Status.PASS
    assert checks["repeats"] is Status.PASS
