"""Edit scripts of kernel lists: exact names first, then families; places with names."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alignment_lists import edited, model_list
from benchmarks.alignment_scale import changed_launches, recovered
from harness.align import script
from harness.align.changes import changes, region_names
from harness.align.pairs import pair_lists
from harness.align.script import edits, numbered
from harness.names import display_name, identity_keys
from tests.replays_support import recorded, replays

KEYS = st.lists(st.sampled_from("abcd"), max_size=40)


@given(KEYS, KEYS)
def test_the_script_applied_to_one_list_gives_the_other(reference, mock):
    assert pair_lists(reference, mock).applied() == mock


@given(KEYS, KEYS)
def test_every_launch_is_either_matched_with_its_own_name_or_in_one_edit(reference, mock):
    found = pair_lists(reference, mock)
    matched = list(found.exact())
    assert all(mock[one] == reference[other] for one, other in matched)
    edited_away = sum(edit.stop - edit.start for edit in found.edits)
    edited_in = sum(edit.new_stop - edit.new_start for edit in found.edits)
    assert len(matched) + edited_away == len(reference)
    assert len(matched) + edited_in == len(mock)


@given(KEYS, KEYS)
def test_no_script_is_shorter(reference, mock):
    lengths = np.zeros((len(reference) + 1, len(mock) + 1), int)  # longest common subsequence
    for i, one in enumerate(reference):
        for k, other in enumerate(mock):
            best = max(lengths[i, k + 1], lengths[i + 1, k])
            lengths[i + 1, k + 1] = lengths[i, k] + 1 if one == other else best
    fewest = len(reference) + len(mock) - 2 * lengths[-1, -1]
    assert changed_launches(pair_lists(reference, mock)) == fewest


@given(KEYS, KEYS)
def test_beyond_the_limit_the_script_still_gives_the_other(reference, mock):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "FEW", -1)
        assert pair_lists(reference, mock).applied() == mock


def test_edits_of_equal_lists_are_none_and_of_an_empty_one_are_one():
    one, empty = np.arange(5), np.arange(0)
    assert edits(one, one) == []
    assert [tuple(edit) for edit in edits(one, empty)] == [(0, 5, 0, 0)]
    assert [tuple(edit) for edit in edits(empty, one)] == [(0, 0, 0, 5)]


def test_names_of_any_content_are_only_compared():
    assert [each.tolist() for each in numbered(["a\nb", "", "\0"], ["", "a\nb"])] == [
        [0, 1, 2],
        [1, 0],
    ]


def test_edits_planted_in_a_list_of_layers_are_all_recovered():
    original = model_list(30_000, seed=1)
    changed, planted = edited(original, 60, seed=1)
    found = pair_lists(original, changed)
    assert found.applied() == changed
    assert recovered(found, planted) == 60
    assert changed_launches(found) <= sum(1 + (one.kind == "replace") for one in planted)


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_recorded_replays_of_one_graph_are_the_same_list(phase):
    first, *others = (identity_keys(forward) for forward in replays(phase))
    assert all(not pair_lists(first, other).edits for other in others)


def test_edits_of_a_recorded_list_are_found_where_they_were_made():
    keys = identity_keys(replays("decode")[0])
    dice = random.Random(0)
    for _ in range(50):
        at = dice.randrange(len(keys))
        found = pair_lists(keys, [*keys[:at], "planted", *keys[at + 1 :]])
        assert [tuple(edit) for edit in found.edits] == [(at, at + 1, at, at + 1)]


def test_another_tile_of_one_gemm_is_paired_by_family_and_not_by_name():
    keys = identity_keys(replays("decode")[0])
    at = next(row for row, key in enumerate(keys) if key.startswith("nvjet_sm90_tst_"))
    tile = "nvjet_sm90_tst_8x8_64x4_1x1_v_bz_TNN"
    found = pair_lists(keys, [*keys[:at], tile, *keys[at + 1 :]])
    assert found.related == ((at, at),)
    assert (at, at) not in set(found.exact())
    (change,) = changes(found, [""] * len(keys), [""] * len(keys))
    assert change.kind == "family"
    assert "same family" in change.line()


def test_a_change_names_its_region_and_its_neighbours():
    forward = recorded(replays("decode")[0])
    keys, regions = identity_keys(forward), region_names(forward)
    at = 5
    (change,) = changes(
        pair_lists(keys, keys[:at] + keys[at + 1 :]), regions[:at] + regions[at + 1 :], regions
    )
    assert (change.kind, change.gone, change.position) == ("deleted", (keys[at],), at)
    assert (change.before, change.after) == (keys[at - 1], keys[at + 1])
    assert change.region == "forward"
    for name in (keys[at - 1], keys[at], keys[at + 1]):
        assert display_name(name, width=60) in change.line()


def test_the_same_edit_in_every_layer_is_one_change_with_a_count():
    layer = identity_keys(replays("decode")[0])
    found = pair_lists(layer * 61, [*layer[:7], "added", *layer[7:]] * 61)
    (change,) = changes(found, [""] * (61 * (len(layer) + 1)), [""] * (61 * len(layer)))
    assert (change.kind, change.times) == ("inserted", 61)
    assert change.line().endswith("; 61 times")


def test_a_launch_at_an_end_has_no_neighbour_there():
    (first,) = changes(pair_lists(["a", "b"], ["b"]), [""], ["", ""])
    (last,) = changes(pair_lists(["a"], ["a", "b"]), ["", ""], [""])
    assert "at the start" in first.line()
    assert "at the end" in last.line()
