"""The command line: what it prints, its exit codes, and one line for each kind of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.cli import run_command
from harness.compare.command import compare
from harness.report.evidence import verify_evidence
from harness.trace import read_trace

DSA = ["--op", "dsa", "--tp", "8", "--framework", "transformers"]
GENERATION = [*DSA, "--phase", "generation", "--kv-len", "256"]
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


def test_the_main_job_is_aligned_and_prints_its_parts_in_order(capsys):
    assert run_command(compare, GENERATION) == 0
    out = capsys.readouterr().out
    parts = ["recorder: ", "case: ", "mock", "names ", "numerics ", "VERDICT aligned"]
    positions = [out.index(part) for part in parts]
    assert positions == sorted(positions)


def test_out_holds_evidence_report_and_both_traces(tmp_path, capsys):
    assert run_command(compare, [*GENERATION, "--out", str(tmp_path / "new")]) == 0
    document = verify_evidence(tmp_path / "new" / "evidence.json")
    assert document["verdict"] == "aligned"
    assert "aligned" in (tmp_path / "new" / "report.md").read_text()
    mock = read_trace(tmp_path / "new" / "mock.parquet")
    assert len(mock) == len(read_trace(tmp_path / "new" / "reference.parquet")) > 100


def test_json_prints_the_evidence_and_nothing_else(capsys):
    assert run_command(compare, [*GENERATION, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "aligned"


def test_lists_run_in_one_go_and_resume_keeps_what_is_finished(tmp_path, capsys):
    lists = [*DSA, "--phase", "generation", "--kv-len", "128,256", "--out", str(tmp_path)]
    assert run_command(compare, lists) == 0
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert len(folders) == 2
    (tmp_path / folders[1] / "evidence.json").unlink()
    before = (tmp_path / folders[0] / "evidence.json").read_text()
    capsys.readouterr()
    assert run_command(compare, [*lists, "--resume"]) == 0
    said = capsys.readouterr()
    assert said.err.count("resumed") == 1
    assert (tmp_path / folders[0] / "evidence.json").read_text() == before
    assert (tmp_path / folders[1] / "evidence.json").exists()


def test_a_required_check_that_is_skipped_ends_with_3(capsys):
    if torch.cuda.is_available():
        pytest.skip("nothing is skipped with a GPU")
    assert run_command(compare, [*GENERATION, "--require", "latency"]) == 3
    assert "VERDICT inconclusive" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--op", "nosuch"], "unknown operator 'nosuch'; use one of dsa"),
        (["--op", "dsa", "--tp", "3"], "--tp 3 does not divide the 128 heads"),
        ([*DSA, "--batch-size", "-1"], "--batch-size '-1'"),
        ([*DSA, "--seq-len", "0"], "--seq-len '0'"),
        ([*DSA, "--phase", "decode"], "unknown phase 'decode'"),
        ([*DSA, "--dtype", "int4"], "unknown dtype 'int4'"),
        ([*DSA, "--tolerance", "lots"], "--tolerance 'lots'"),
        ([*DSA, "--recorder", "tape"], "unknown recorder 'tape'"),
        ([*DSA, "--require", "luck"], "--require luck"),
        ([*DSA, "--resume"], "name the folder with --out"),
        ([*DSA, "--no-such-option"], "--no-such-option"),
        ([], "--op"),
        (["--op", "dsa", "--framework", "jax"], "unknown framework 'jax'"),
        (["--op", "dsa", "--framework", "tensorrt_llm"], "tensorrt_llm"),
        (["--op", "dsa-kernels", "--framework", "transformers"], "cannot be built with"),
        ([*GENERATION, "--seq-len", "64"], "they differ (64 and 256)"),
        ([*DSA, "--seq-len", "64", "--kv-len", "32"], "seq_len 64 is more than kv_len 32"),
        ([*DSA, "--cases", "/nonexistent/cases.toml"], "check the path of --cases"),
        ([*DSA, "--out", "/proc/nowhere"], "cannot write to --out"),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do_and_exit_code_2(arguments, said, capsys):
    assert run_command(compare, arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert said in streams.err
    assert streams.err.count("\n") == 1
    assert "Traceback" not in streams.err


@without_gpu
def test_asking_for_cupti_without_a_gpu_says_what_to_do_and_ends_with_2(capsys):
    assert run_command(compare, [*DSA, "--recorder", "cupti"]) == 2
    assert "--recorder dispatch" in capsys.readouterr().err


def test_an_internal_error_ends_with_70_and_shows_its_traceback_only_on_request(
    monkeypatch, capsys
):
    def broken(*_args):
        raise KeyError("lost")

    monkeypatch.setattr("harness.compare.command.choose_framework", broken)
    assert run_command(compare, DSA) == 70
    assert "Traceback" not in capsys.readouterr().err
    assert run_command(compare, [*DSA, "--debug"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(monkeypatch, capsys):
    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.compare.command.choose_framework", interrupted)
    assert run_command(compare, DSA) == 130


def test_the_module_works_from_a_checkout_and_prints_no_warning():
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "default", "-m", "harness.compare", *GENERATION],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "harness/" not in done.stderr
    assert "ops/" not in done.stderr
    assert done.stdout.splitlines()[0].startswith("recorder")
    assert "VERDICT aligned" in done.stdout


def test_evidence_that_answers_another_question_is_not_resumed(tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("nothing is skipped with a GPU")
    arguments = [*DSA, "--phase", "generation", "--kv-len", "128", "--out", str(tmp_path)]
    assert run_command(compare, arguments) == 0
    assert run_command(compare, [*arguments, "--resume", "--require", "latency"]) == 3
    assert "not resumed" in capsys.readouterr().err


def test_a_resumed_case_is_still_shown(tmp_path, capsys):
    arguments = [*DSA, "--phase", "generation", "--kv-len", "128", "--out", str(tmp_path)]
    assert run_command(compare, arguments) == 0
    capsys.readouterr()
    assert run_command(compare, [*arguments, "--resume"]) == 0
    streams = capsys.readouterr()
    assert "aligned" in streams.out
    assert "resumed" in streams.err


def test_json_of_several_cases_is_a_set_of_evidence_that_verifies(tmp_path, capsys):
    arguments = [*DSA, "--phase", "generation", "--kv-len", "128,192", "--json"]
    assert run_command(compare, arguments) == 0
    path = tmp_path / "set.json"
    path.write_text(capsys.readouterr().out)
    assert len(verify_evidence(path)["results"]) == 2


def test_a_reader_that_leaves_does_not_change_the_exit_code():
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "harness.compare", *DSA, "--phase", "generation"]
    shell = f"{' '.join(command)} --kv-len 128 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", shell], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--op", "dsa", "--tp", ""], "--tp ''"),
        ([*DSA, "--kv-len", ""], "--kv-len ''"),
        ([*DSA, "--kv-len", "99999999999"], "beyond the 163840 positions"),
        ([*DSA, "--equivalent", "everything"], "--equivalent everything"),
    ],
)
def test_odd_values_are_refused_too(arguments, said, capsys):
    assert run_command(compare, arguments) == 2
    assert said in capsys.readouterr().err


def test_no_verb_shows_the_help_as_it_is(capsys):
    from harness.cli import harness

    assert run_command(harness, []) == 2
    assert "\n  compare" in capsys.readouterr().err
