"""Sizes follow the rules that users type them by."""

from __future__ import annotations

import json

import pytest

from harness.compare.cases import cases_from_file, cases_of, whole_numbers
from harness.compare.tolerance import parse_tolerance
from harness.errors import InputError
from ops.case import Case, resolve_sizes


def test_in_context_kv_len_defaults_to_seq_len():
    assert resolve_sizes("context", 512, None) == (512, 512)
    assert resolve_sizes("context", 512, 2048) == (512, 2048)
    assert resolve_sizes("context", None, 2048) == (2048, 2048)
    assert resolve_sizes("context", None, None) == (4096, 4096)


def test_in_generation_one_token_is_new_and_seq_len_is_another_name_of_kv_len():
    assert resolve_sizes("generation", None, 1024) == (1, 1024)
    assert resolve_sizes("generation", 1024, None) == (1, 1024)
    assert resolve_sizes("generation", 1024, 1024) == (1, 1024)


def test_conflicting_lengths_in_generation_are_an_error():
    with pytest.raises(InputError, match="512 and 1024"):
        resolve_sizes("generation", 512, 1024)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seq_len": 0},
        {"kv_len": -4},
        {"batch_size": -1},
        {"tp": 0},
        {"phase": "prefill"},
        {"dtype": "int8"},
        {"seq_len": 8192, "kv_len": 4096},
        {"phase": "generation", "seq_len": 2},
    ],
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(InputError):
        Case("dsa", **wrong)


def test_past_and_new_tokens_follow_from_the_lengths():
    case = Case("dsa", batch_size=2, seq_len=512, kv_len=2048)
    assert (case.past_len, case.new_tokens) == (1536, 1024)


def test_lists_are_combined_in_the_order_typed():
    lists = {"tp": [8], "batch_size": [1, 8], "seq_len": None, "kv_len": [1024, 4096]}
    made = cases_of("dsa", "auto", ["generation"], lists, "bfloat16")
    assert [(c.batch_size, c.kv_len) for c in made] == [(1, 1024), (1, 4096), (8, 1024), (8, 4096)]


@pytest.mark.parametrize("text", ["1,x", "-1", "0", "1,,2", "1.5", ""])
def test_a_list_that_holds_no_whole_number_names_its_option(text):
    with pytest.raises(InputError, match="--batch-size"):
        whole_numbers(text, "--batch-size")


def test_a_cases_file_takes_what_it_leaves_out_from_the_command_line(tmp_path):
    path = tmp_path / "cases.toml"
    path.write_text('[[case]]\nphase = "generation"\nkv_len = 1024\n[[case]]\nbatch_size = 4\n')
    made = cases_from_file(path, "dsa", "auto", {"phase": "context", "tp": 8, "dtype": "bfloat16"})
    assert [(c.phase, c.tp, c.batch_size, c.kv_len) for c in made] == [
        ("generation", 8, 1, 1024),
        ("context", 8, 4, 4096),
    ]


def test_a_json_cases_file_gives_the_same_cases(tmp_path):
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([{"kv_len": 1024, "phase": "generation"}]))
    made = cases_from_file(path, "dsa", "auto", {"phase": "context", "dtype": "bfloat16"})
    assert made == [Case("dsa", "generation", 1, 1, 1, 1024, framework="auto")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[case]]\nbatch_size = -1\n", "case 1"),
        ("[[case]]\n[[case]]\nheads = 3\n", "case 2"),
        ("case = 3\n", "does not hold a list"),
        ("", "holds no case"),
        ("[[case", "neither TOML nor"),
    ],
)
def test_a_wrong_cases_file_says_which_case_and_why(tmp_path, content, said):
    path = tmp_path / "cases.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        cases_from_file(path, "dsa", "auto", {"phase": "context", "dtype": "bfloat16"})


def test_tolerance_is_read_as_percent_or_as_fraction():
    assert parse_tolerance("1%") == pytest.approx(0.01)
    assert parse_tolerance("0.005") == pytest.approx(0.005)


@pytest.mark.parametrize("text", ["0", "-1%", "100%", "abc", "nan", "inf"])
def test_a_tolerance_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="--tolerance"):
        parse_tolerance(text)
