"""The mock of DSA is located in models of several layers, launch by launch; here as ATen calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.locate_models import figures, is_right, record
from ops.registry import operator


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    dsa = operator("dsa")
    record(dsa, "transformers", 3, 8, "meta", folder)
    return list(figures(dsa, folder))


def test_every_self_attn_of_a_model_is_found_without_its_regions(rows):
    by_list = [row for row in rows if row["method"] == "alignment"]
    assert len(by_list) == 2  # both phases
    for row in by_list:
        # three layers in each of two forwards
        assert row["expected"] == row["found"] == row["exactly_the_region"] == 6
        assert row["best_score"] == 1.0


def test_patterns_of_production_kernels_do_not_apply_to_aten_calls_and_the_row_says_so(rows):
    reasons = [row["not_applicable"] for row in rows if row["method"] == "pattern"]
    assert len(reasons) == 2
    assert all("no kernel of the mock matches a pattern" in reason for reason in reasons)


def test_a_row_is_right_only_with_every_region_in_its_step_and_layer(rows):
    assert all(map(is_right, rows))
    right = {
        "expected": 20,
        "found": 20,
        "exactly_the_region": 20,
        "in_their_steps_and_layers": True,
    }
    assert is_right(right)
    for wrong in (
        {"found": 21},
        {"exactly_the_region": 19},
        {"in_their_steps_and_layers": False},
    ):
        assert not is_right({**right, **wrong})


def test_recorded_models_are_right_in_steps_and_layers(recorded_rows):
    assert [row["steps_by_layers"] for row in recorded_rows if "found" in row] == ["5 x 4"] * 3
    assert all(map(is_right, recorded_rows))


@pytest.fixture(scope="module")
def recorded_rows():
    return list(figures(operator("dsa"), Path(__file__).parent / "data" / "locate"))
