"""Two files are compared without running anything; a whole model is searched first."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from harness.align.model import Status, Verdict
from harness.cli import run_command
from harness.compare import file_sides
from harness.compare.command import compare
from harness.compare.file_sides import forwards_of
from harness.compare.files import compare_files
from harness.compare.files_command import FILE_PARAMETERS
from harness.compare.options import Options
from harness.compare.stored import Stored, stored_beside, stored_pair
from harness.locate import Request
from harness.record.dispatch import DispatchRecorder
from harness.report.evidence import sealed
from harness.trace import TraceInfo, write_trace
from tests.kineto_support import B200
from tests.locate_support import h200, h200_mock, trace_of, without_regions
from tests.nsys_files import NO_KERNELS, export

OPERATOR = [f"_Z2op{name}v" for name in "abcdefghijkl"]
OPTIONS = Options("", DispatchRecorder())


@pytest.fixture
def write(tmp_path):
    def written(name, trace):
        return write_trace(trace, tmp_path / name)

    return written


def judged(mock, reference, request=None):
    return compare_files(mock, reference, OPTIONS, request or Request()).alignment


def opened(found):
    """The checks that did not pass, apart from those that need a run."""
    done = (Status.PASS, Status.SKIPPED)
    return {check.name: check.status for check in found.checks if check.status not in done}


ONE_IN_A_GRAPH = {"graph": Status.INCONCLUSIVE}
"""What an eager mock leaves open against a model that was served in graphs."""


def test_a_recorded_operator_is_aligned_with_itself_in_the_recorded_model(write):
    mock = write("mock.parquet", h200_mock("decode"))
    model = write("model.parquet", without_regions(h200()))
    found = judged(mock, model)
    assert opened(found) == ONE_IN_A_GRAPH
    assert found.check("counts").reason.startswith("66 per forward in the mock, 66 in")
    assert found.check("repeats").reason.startswith("24 forwards")
    assert any("23 of 29 occurrences" in note for note in found.notes)
    assert "the reference's list is of graph replays" in found.check("graph").reason
    assert found.check("latency").status is Status.SKIPPED
    assert "no measurement of the mock" in found.check("latency").reason
    assert "files" in found.check("conditions").reason


def test_what_the_mock_lacks_in_the_middle_is_a_difference(write):
    whole = h200_mock("decode")
    kept = pa.array([row for row in range(66) if row != 30])
    mock = write("mock.parquet", replace(whole, activities=whole.activities.take(kept)))
    found = judged(mock, write("model.parquet", without_regions(h200())))
    assert found.verdict is Verdict.DIVERGED
    assert found.check("missing").status is Status.FAIL
    assert found.check("counts").reason.endswith("65 per forward in the mock, 66 in the reference")


def test_what_the_mock_lacks_at_an_end_is_seen_by_region_and_else_the_note_says_why_not(write):
    whole = h200_mock("decode")
    mock = write("mock.parquet", replace(whole, activities=whole.activities.slice(0, 60)))
    model = write("model.parquet", h200())
    blind = judged(mock, model)
    assert opened(blind) == ONE_IN_A_GRAPH
    assert any("name its --region" in note for note in blind.notes)
    found = judged(mock, model, Request(region="*self_attn"))
    assert found.verdict is Verdict.DIVERGED
    assert found.check("missing").status is Status.FAIL


def test_what_only_the_model_launches_in_the_middle_is_a_difference(write):
    inside = [*OPERATOR[:6], "_Z5extrav", *OPERATOR[6:]]
    mock = write("mock.parquet", trace_of(OPERATOR))
    found = judged(mock, write("model.parquet", trace_of(["_Z3upv", *inside, "_Z4downv"] * 3)))
    assert found.verdict is Verdict.DIVERGED
    assert found.check("missing").status is Status.FAIL
    assert found.check("extra").status is Status.PASS


def test_a_model_without_the_operator_is_no_signal(write):
    mock = write("mock.parquet", h200_mock("decode"))
    found = judged(mock, B200)
    assert found.verdict is Verdict.NO_SIGNAL
    assert "was not located" in found.summary


@pytest.mark.parametrize("empty", ["mock", "reference"])
def test_a_file_without_kernels_is_no_signal_and_says_how_to_record_them(write, tmp_path, empty):
    silent, whole = export(NO_KERNELS, tmp_path), write("whole.parquet", h200_mock("decode"))
    files = (silent, whole) if empty == "mock" else (whole, silent)
    alignment = compare_files(*files, OPTIONS, Request()).alignment
    assert alignment.verdict is Verdict.NO_SIGNAL
    assert alignment.summary.startswith(f"the {empty}'s file: ")
    (cause,) = alignment.causes
    assert (cause.name, empty in cause.observation) == ("trace without GPU data", True)


def test_a_mock_as_long_as_a_model_is_compared_with_the_whole(write, monkeypatch):
    whole = h200_mock("decode")
    mock, model = write("mock.parquet", whole.slice(1)), write("model.parquet", whole)
    monkeypatch.setattr(file_sides, "MODEL_SIZED", len(whole) - 1)
    alignment = judged(mock, model)
    assert alignment.check("missing").status is Status.FAIL
    assert "the mock is longer than an operator" in " ".join(alignment.notes)


def test_a_reference_with_forwards_is_not_searched(write):
    forwards = forwards_of([range(12), range(12, 24)], trace_of(OPERATOR * 2))
    found = judged(write("mock.parquet", forwards), write("reference.parquet", forwards))
    assert found.verdict is Verdict.ALIGNED
    assert found.check("repeats").reason.startswith("4 forwards")


def test_a_model_with_lost_records_is_an_invalid_capture(write):
    model = trace_of(OPERATOR * 3)
    lost = replace(model, info=TraceInfo("test", incomplete=("5 records were dropped",)))
    found = judged(write("mock.parquet", trace_of(OPERATOR)), write("model.parquet", lost))
    assert found.verdict is Verdict.INVALID_CAPTURE


# latency of the evidence that lies beside


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """What ``compare --out`` writes without a GPU."""
    folder = tmp_path_factory.mktemp("run")
    arguments = ["--op", "dsa", "--framework", "transformers", "--phase", "generation"]
    code = run_command(compare, [*arguments, "--kv-len", "256", "--tp", "8", "--out", str(folder)])
    assert code in (0, 3)
    return folder


def test_the_traces_of_a_run_have_the_verdict_of_its_structure(run_folder):
    found = judged(run_folder / "mock.parquet", run_folder / "reference.parquet")
    assert found.verdict is Verdict.ALIGNED
    assert found.case["op"] == "dsa"
    assert "not timed" in found.check("latency").reason
    inside = judged(run_folder / "mock.parquet", run_folder / "in_layer.parquet")
    assert inside.verdict is Verdict.ALIGNED
    assert "not mock and in layer" in inside.check("latency").reason


MEASURED = {
    "mode": "graph",
    "clock": "cuda-event",
    "calls_per_sample": 3,
    "instances": 2,
    "median_ms": 1.0,
    "samples_ms": [1.0, 1.01, 1.0, 1.02],
}
LATENCY = {
    "ratio": 1.002,
    "ci95": [1.001, 1.003],
    "tolerance": 0.01,
    "decision": "inside",
    "undecided_because": "",
    "method": "as it was",
    "floor": {"ratio": 1.0, "ci95": [0.999, 1.001], "what": "a second instance"},
    "cache": "warm",
    "cache_state": "",
    "gap_share": None,
    "instances": 2,
    "blocks": 2,
    "looks": 1,
    "seconds": 1.0,
    "drift": 0.0,
    "slow_samples": [0.0, 0.0],
    "levels": [0.0, 0.0],
}


@pytest.fixture
def timed(run_folder, tmp_path):
    """The same folder as if both sides had been timed on a GPU."""
    document = json.loads((run_folder / "evidence.json").read_text())
    for side in ("mock", "reference"):
        document["sides"][side]["measurement"] = MEASURED
    for check in document["checks"]:
        if check["name"] == "latency":
            check["data"] = LATENCY
    for name in ("mock.parquet", "reference.parquet"):
        (tmp_path / name).write_bytes((run_folder / name).read_bytes())
    (tmp_path / "evidence.json").write_text(json.dumps(sealed(document)))
    return tmp_path


def test_latency_is_that_of_the_measurements_beside_the_traces(timed):
    found = judged(timed / "mock.parquet", timed / "reference.parquet").check("latency")
    assert found.status is Status.PASS
    assert found.reason.startswith("mock / reference 1.0020 [1.0010, 1.0030]")
    assert "A/A 1.0000" in found.reason


def test_another_tolerance_is_decided_by_the_stored_interval(timed):
    tight = replace(OPTIONS, tolerance=0.0005)
    files = (timed / "mock.parquet", timed / "reference.parquet")
    found = compare_files(*files, tight, Request()).alignment.check("latency")
    assert found.status is Status.FAIL


def test_measurements_of_two_runs_are_not_made_a_ratio(timed, run_folder):
    found = judged(timed / "mock.parquet", run_folder / "reference.parquet").check("latency")
    assert found.status is Status.SKIPPED
    assert "two runs, not interleaved (mock 1.0050 ms)" in found.reason


def test_evidence_that_was_changed_or_is_of_another_trace_is_not_used(timed):
    (timed / "mock.parquet").write_bytes((timed / "reference.parquet").read_bytes())
    write_trace(trace_of(OPERATOR), timed / "mock.parquet")
    found = stored_beside(timed / "mock.parquet", trace_of(OPERATOR))
    assert "describes another Trace" in found.problem
    text = (timed / "evidence.json").read_text()
    (timed / "evidence.json").write_text(text.replace("1.002", "1.0"))
    found = stored_beside(timed / "mock.parquet", trace_of(OPERATOR))
    assert "changed after it was written" in found.problem
    pair = stored_pair(found, Stored(timed, "reference", {}), 0.01)
    assert pair.pair is None
    assert pair.untimed.startswith("no measurement of the mock")


# the command line


def test_the_command_compares_files_and_writes_evidence_elsewhere(write, tmp_path, capsys):
    mock, model = write("mock.parquet", trace_of(OPERATOR)), write("m.parquet", trace_of(OPERATOR))
    out = tmp_path / "out"
    arguments = ["--from", str(mock), "--reference", str(model), "--out", str(out)]
    assert run_command(compare, arguments) == 0
    assert "VERDICT aligned" in capsys.readouterr().out
    assert (out / "evidence.json").exists()
    assert run_command(compare, [*arguments[:4], "--out", str(tmp_path)]) == 2
    assert mock.exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "no operator was named"),
        (["--from", "a"], "add --reference"),
        (["--reference", "a"], "add --from"),
        (["--from", "a", "--reference", "b", "--tp", "8"], "--tp is of a run"),
        (["--from", "a", "--reference", "b"], "there is no file a"),
        (["--op", "dsa", "--score", "0.5"], "--score is of --from"),
        (["--op", "attention"], "known by the names of its kernels only"),
    ],
)
def test_wrong_input_has_exit_code_2(arguments, what, capsys):
    assert run_command(compare, arguments) == 2
    assert what in capsys.readouterr().err


def test_every_file_option_is_an_option_of_the_command():
    assert set(FILE_PARAMETERS) <= {parameter.name for parameter in compare.params}
