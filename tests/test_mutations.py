"""The file of planted differences is whole, and what needs no GPU is found."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import mutation_edits, mutation_neutral, mutation_plants
from benchmarks.mutations import (
    case_of,
    one_difference,
    one_neutral,
    one_pair,
    read_mutations,
)
from harness.align.checks import CHECKS
from harness.align.explain.rules import read_rulebook
from ops.registry import operator

TABLES = read_mutations()
ROWS = {row["name"]: row for row in TABLES["difference"]}
HERE = [row for row in TABLES["difference"] if "gpu" not in row["on"]]
QUICK = ("heads padded to 64", "kv_b_proj rounded to fp8", "position ids are int32")


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


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_difference_is_found_with_its_cause_first(name):
    assert one_difference(ROWS[name], "meta")["outcome"] == "found"


def test_of_two_planted_together_both_are_named():
    names = ["one extra clone of the output", "position ids are int32"]
    assert one_pair(names, ROWS, "meta")["outcome"] == "found"


def test_a_neutral_change_is_not_flagged():
    row = next(row for row in TABLES["neutral"] if row["plant"] == "exchanged")
    assert one_neutral(row, "meta", "transformers")["outcome"] == "quiet"
