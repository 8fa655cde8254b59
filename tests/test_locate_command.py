"""``locate`` says what it found, by what, and ends with the exit code of the design."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from harness.cli import run_command
from harness.locate.command import locate
from harness.report.evidence import HASH, content_hash
from harness.trace import write_trace
from tests.kineto_support import B200
from tests.locate_support import (
    OPERATOR,
    h200,
    h200_mock,
    kernels,
    made,
    model,
    trace_of,
    without_regions,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    write_trace(h200(), folder / "model.parquet")
    write_trace(without_regions(h200()), folder / "blind.parquet")
    write_trace(h200_mock("decode"), folder / "mock.parquet")
    return folder


def run(*arguments):
    return run_command(locate, [str(one) for one in arguments])


@pytest.mark.parametrize("width", [80, 140])
def test_what_is_found_is_shown_within_the_width(files, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    code = run(files / "blind.parquet", "--op", "dsa", "--mock", files / "mock.parquet")
    shown = capsys.readouterr().out
    assert code == 0
    assert all(len(line) <= width for line in shown.splitlines())
    assert "…" not in shown
    assert "FOUND 29 times" in shown
    assert "23 decode steps x 1" in " ".join(shown.split())


def test_what_is_not_found_has_exit_code_3_and_the_reason(files, capsys):
    assert run(B200, "--mock", files / "mock.parquet") == 3
    assert "NOT FOUND: the closest list of launches scores" in capsys.readouterr().out


def test_a_score_that_nothing_reaches_has_exit_code_3(files, tmp_path, capsys):
    names = [f"_Z{at}kv" for at in range(10, 20)]
    write_trace(trace_of([*names[:5], "_Z5otherv", *names[6:]]), tmp_path / "model.parquet")
    write_trace(trace_of(names), tmp_path / "mock.parquet")
    given = (tmp_path / "model.parquet", "--mock", tmp_path / "mock.parquet")
    assert run(*given, "--score", "0.9") == 0
    assert run(*given, "--score", "0.95") == 3
    assert "scores 0.90, below 0.95" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), "nothing to locate"),
        (("--op", "nonsense"), "unknown operator"),
        (("--pattern", "("), "no regular expression"),
        (("--region", "no such region"), "no region that matches"),
        (("--mock", "no_such_file.parquet"), "there is no file"),
        (("--score", "0"), "0<x<=1"),
        (("--steps", "a", "--step-range", "b"), "drop one"),
        (("--by", "magic"), "magic"),
        (("--region", "*self_attn", "--by", "alignment"), "drop --region"),
        (("--region", "*self_attn", "--by", "pattern"), "drop --region"),
        (("--mock", "."), ". is a folder"),
        (("--mock", ""), "no file was named"),
    ],
)
def test_wrong_input_has_exit_code_2_and_one_line(files, capsys, arguments, what):
    assert run(files / "model.parquet", *arguments) == 2
    error = capsys.readouterr().err
    assert what in error
    assert error.count("\n") == 1


def test_json_holds_every_occurrence_and_a_hash_of_its_content(files):
    arguments = [str(files / "model.parquet"), "--mock", str(files / "mock.parquet"), "--json"]
    done = CliRunner().invoke(locate, arguments, standalone_mode=False)
    document = json.loads(done.output)
    assert document[HASH] == content_hash(document)
    assert len(document["occurrences"]) == 29
    assert document["occurrences"][0]["score"] == 1.0
    assert {row["phase"] for row in document["layers"]} >= {"decode"}


def test_a_name_with_markup_is_shown_as_it_is(tmp_path, capsys):
    write_trace(trace_of(["[bold]k[/bold]", "x"]), tmp_path / "model.parquet")
    assert run(tmp_path / "model.parquet", "--pattern", r"\[bold\]") == 0
    assert "[bold]k[/bold]" in capsys.readouterr().out


@pytest.mark.parametrize(("file", "what"), [(".", ". is a folder"), ("", "no file was named")])
def test_a_folder_or_no_name_at_all_is_said_to_be_so(capsys, file, what):
    assert run(file, "--op", "dsa") == 2
    assert what in capsys.readouterr().err


def test_what_is_not_found_names_the_cause(files, capsys):
    assert run(B200, "--mock", files / "mock.parquet") == 3
    shown = " ".join(capsys.readouterr().out.split())
    assert "cause: operator not found: the model's trace has" in shown
    assert "the best match scores 0.0" in shown
    arguments = [str(B200), "--mock", str(files / "mock.parquet"), "--json"]
    document = json.loads(CliRunner().invoke(locate, arguments, standalone_mode=False).output)
    (cause,) = document["causes"]
    assert cause["name"] == "operator not found"
    assert cause["facts"]["kernels"] > 700


def test_what_is_found_has_no_cause(files):
    arguments = [str(files / "blind.parquet"), "--mock", str(files / "mock.parquet"), "--json"]
    document = json.loads(CliRunner().invoke(locate, arguments, standalone_mode=False).output)
    assert document["causes"] == []


@pytest.fixture
def two_ranks(tmp_path):
    rows = []
    for process in (11, 12):
        own = kernels(model(4, 5), start=process)
        rows += [{**row, "process": process} for row in own]
    write_trace(made(rows), tmp_path / "ranks.parquet")
    write_trace(trace_of(OPERATOR), tmp_path / "mock.parquet")
    return tmp_path


def test_rows_of_two_processes_are_told_apart_on_a_narrow_terminal(two_ranks, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(two_ranks / "ranks.parquet", "--mock", two_ranks / "mock.parquet") == 0
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    rows = [line.split() for line in shown.splitlines()]
    assert sum("process" in row for row in rows) == 2
    processes = [row[-1] for row in rows if row[:2] == ["0", "unknown"]]
    assert processes == ["11", "12"] * 5
    flat = " ".join(shown.split())
    assert "left out: steady, launches, min, max" in flat
    assert "120 columns or --json have them" in flat


def test_how_many_occurrences_are_steady_is_shown_where_rows_differ(files, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(files / "blind.parquet", "--mock", files / "mock.parquet") == 0
    lines = capsys.readouterr().out.splitlines()
    (heading,) = [line for line in lines if line.split()[-1:] == ["steady"]]
    rows = lines[lines.index(heading) + 2 :][:2]
    assert [row.split()[-1] for row in rows] == ["0", "23"]


def test_a_wide_terminal_leaves_nothing_out(two_ranks, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert run(two_ranks / "ranks.parquet", "--mock", two_ranks / "mock.parquet") == 0
    assert "left out" not in capsys.readouterr().out
