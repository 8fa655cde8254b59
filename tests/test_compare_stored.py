"""Evidence beside two Traces that another version of this project wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.align.model import Status
from harness.cli import run_command
from harness.compare.command import compare
from harness.compare.file_sides import forwards_of
from harness.compare.files import compare_files
from harness.compare.options import Options
from harness.compare.stored import stored_beside, stored_pair
from harness.locate import Request
from harness.record.dispatch import DispatchRecorder
from harness.report.evidence import sealed
from harness.trace import write_trace
from ops.registry import operator
from tests.locate_support import trace_of

OLDER = Path(__file__).parent / "data" / "evidence_h200_older.json"
OPTIONS = Options("", DispatchRecorder())


def written(folder, change=None):
    """A folder as the older version left it: evidence, and Traces of the kernels that it names."""
    folder.mkdir(exist_ok=True)
    document = json.loads(OLDER.read_text())
    if change:
        change(document)
        (folder / "evidence.json").write_text(json.dumps(sealed(document)))
    else:
        shutil.copy(OLDER, folder / "evidence.json")
    for side in ("mock", "reference"):
        rows = json.loads(OLDER.read_text())["sides"][side]["replay"]["activities"]
        trace = trace_of([row["name"] for row in rows])
        write_trace(forwards_of([range(len(trace))], trace), folder / f"{side}.parquet")
    return folder / "mock.parquet", folder / "reference.parquet"


def judged(files, op=None):
    return compare_files(*files, OPTIONS, Request(), op).alignment


def test_latency_of_older_evidence_is_skipped_with_what_it_lacks(tmp_path):
    files = written(tmp_path / "run")
    found = judged(files)
    check = found.check("latency")
    assert check.status is Status.SKIPPED
    assert check.reason == "the evidence is of an older version: no 'instances'"
    assert found.check("names").status is Status.PASS
    assert found.case["kv_len"] == 4096  # what it does hold is used


def test_the_command_ends_well_on_older_evidence(tmp_path, capsys):
    mock, reference = written(tmp_path / "run")
    code = run_command(compare, ["--from", str(mock), "--reference", str(reference), "--json"])
    assert code == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "aligned"


def test_older_evidence_of_two_runs_still_tells_its_medians(tmp_path):
    files = []
    for name in ("one", "other"):
        files.append(written(tmp_path / name))
    check = judged((files[0][0], files[1][1])).check("latency")
    assert "two runs, not interleaved (mock 0.2" in check.reason


@pytest.mark.parametrize("lack", ["sides", "checks", "case"])
def test_evidence_that_lacks_a_part_is_never_an_internal_error(tmp_path, lack):
    files = written(tmp_path / "run", lambda document: document.pop(lack))
    check = judged(files).check("latency")
    assert check.status is Status.SKIPPED


def test_names_of_kernels_under_another_key_are_not_those_of_this_trace(tmp_path):
    def renamed(document):
        for side in document["sides"].values():
            side["replay"]["activities"] = [
                {"name": row["name"]} for row in side["replay"]["activities"]
            ]

    mock, _ = written(tmp_path / "run", renamed)
    found = stored_beside(mock, trace_of(["_Z1av"]))
    assert found.problem == "the evidence is of an older version: no 'identity'"
    pair = stored_pair(found, found, 0.01)
    assert "no 'identity'" in pair.untimed


def test_another_op_than_that_of_the_evidence_is_said(tmp_path):
    files = written(tmp_path / "run")
    found = judged(files, operator("dsa-kernels"))
    assert found.case["op"] == "dsa-kernels"
    assert any("evidence beside the files is of --op dsa;" in note for note in found.notes)
