"""The mock of DSA is located in models of several layers, launch by launch; here as ATen calls."""

from __future__ import annotations

import pytest

from benchmarks.locate_models import figures, record
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
