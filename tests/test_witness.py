"""The list that nsys saw in a process of its own is the live one, or the check says what is not."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest

from harness.align.checks import CHECKS, checks_of
from harness.align.checks.witness import NAME, SHORTEST_NS, TOLERANCE, compare_witness, witness
from harness.align.model import Status
from harness.align.observation import Observation, SideObservation
from harness.align.witness import PREFIX, Witness, witnessed
from harness.cli import run_command
from harness.compare import witness as runner
from harness.compare import witness_child
from harness.compare.command import compare
from harness.compare.options import Options
from harness.compare.output import finished
from harness.compare.recording import FORWARD
from harness.errors import InputError, MissingDeviceError
from harness.programs import Program
from harness.record.dispatch import DispatchRecorder
from harness.trace import Trace, TraceInfo, activities_table, read_trace, regions_table
from ops.case import Case
from ops.sides import Side, Sides
from tests.fake_nsys import ends

DATA = Path(__file__).parent / "data"
NSYS = Program("nsys", "/opt/nsys", "2025.3.1.90", "PATH")
LONG, SHORT = "_Z4longv", "_Z5shortv"
KERNELS = ((LONG, 50_000), (SHORT, 1_000), (LONG, 50_000))


def forward(kernels=KERNELS, *, factor=1.0, nodes=False, first=0, stream=7):
    """A forward with these kernels, one after the other."""
    rows, clock = [], 1_790_000_000_000_000_001  # ns since 1970, as CUPTI gives them
    for number, (name, span) in enumerate(kernels):
        row = {"kind": "kernel", "name": name, "start_ns": clock, "stream": stream}
        row["end_ns"] = clock + round(span * factor)
        row["graph_node"] = (first << 32) + number if nodes else None
        rows.append(row)
        clock = row["end_ns"] + 500
    return Trace(activities_table(rows), TraceInfo("test"))


def lists(**how):
    """Both lists of a mock: eager, and replayed as a graph."""
    node = {**how, "nodes": how.get("nodes", True)}
    return {
        "mock eager": [forward(**{**how, "nodes": False})] * 3,
        "mock graph replay": [forward(**node)] * 3,
    }


def test_the_same_list_with_times_within_two_per_cent_passes():
    found = compare_witness(lists(), lists(factor=1.015, first=9), str(NSYS))
    assert found.status is Status.PASS
    assert found.reason.startswith("the same list in its own process under nsys 2025.3.1.90")
    assert "durations of 4 kernels of 5 us or more differ by 1.50% in the median" in found.reason
    assert found.data["median_difference"] == pytest.approx(0.015)
    assert found.data["lists"]["mock graph replay"] == {
        "live": 3,
        "nsys": 3,
        "forwards": {"live": 3, "nsys": 3},
        "graph_nodes": {"live": 3, "nsys": 3},
    }
    assert (found.data["tolerance"], found.data["shortest_us"]) == (TOLERANCE, SHORTEST_NS / 1000)


def test_the_same_list_with_other_times_is_open_and_not_failed():
    found = compare_witness(lists(), lists(factor=1.03))
    assert found.status is Status.INCONCLUSIVE
    assert "3.00% in the median, beyond 2.00%" in found.reason


def test_short_kernels_do_not_count_for_the_times():
    noisy = ((LONG, 50_000), (SHORT, 1_500), (LONG, 50_000))
    assert compare_witness(lists(), lists(kernels=noisy)).status is Status.PASS
    only = ((SHORT, 1_000),)
    found = compare_witness(lists(kernels=only), lists(kernels=only, factor=2))
    assert found.status is Status.PASS
    assert "durations are not compared" in found.reason
    assert found.data["median_difference"] is None


def test_durations_are_medians_over_forwards_that_launch_the_same():
    slow_once = [forward(factor=3), forward(), forward()]
    other = [forward(KERNELS[:2], factor=9), *slow_once]
    found = compare_witness({"mock eager": other}, {"mock eager": [forward()] * 4})
    assert found.status is Status.PASS
    assert found.data["median_difference"] == 0


@pytest.mark.parametrize(
    ("kernels", "line"),
    [
        (KERNELS[:2], "mock eager: only live: long() x1"),
        ((*KERNELS, ("_Z5extrav", 9)), "mock eager: only nsys: extra() x1"),
        (((SHORT, 1_000), (LONG, 50_000), (LONG, 50_000)), "mock eager: another order at 0"),
    ],
)
def test_another_list_fails_and_says_where(kernels, line):
    found = compare_witness(lists(), lists(kernels=kernels))
    assert found.status is Status.FAIL
    assert found.details[0].replace("()", "").startswith(line.replace("()", ""))


def test_a_graph_whose_nodes_nsys_did_not_see_as_nodes_fails():
    found = compare_witness(lists(), lists(nodes=False))
    assert found.status is Status.FAIL
    assert found.details == (
        "mock graph replay: 3 launches of 3 graph nodes live, 0 of 0 under nsys",
    )


def test_a_list_that_nsys_has_not_fails():
    found = compare_witness(lists(), {"mock eager": lists()["mock eager"]})
    assert found.status is Status.FAIL
    assert found.details == ("mock graph replay: only live: nsys has none of the 3 forwards",)


def test_a_list_that_only_nsys_has_fails():
    found = compare_witness({"mock eager": lists()["mock eager"]}, {**lists(), "empty": []})
    assert found.status is Status.FAIL
    assert found.details == (
        "mock graph replay: only nsys: none of its 3 forwards was recorded live",
    )
    assert found.data["lists"]["mock graph replay"] == {
        "live": 0,
        "nsys": 3,
        "forwards": {"live": 0, "nsys": 3},
    }


def test_another_number_of_forwards_fails():
    found = compare_witness(lists(), {label: some[:2] for label, some in lists().items()})
    assert found.status is Status.FAIL
    assert found.details[0] == "mock eager: 3 forwards live, 2 under nsys"


def test_without_mangled_names_kernels_are_compared_by_spelling():
    live = {"mock eager": [forward((("_Z1fILi8ELb1EEvi", 9_000),))]}
    seen = {"mock eager": [forward((("void f<(int)8, (bool)1>(int)", 9_000),))]}
    assert compare_witness(live, seen).status is Status.PASS


def test_nothing_live_is_skipped_and_kernels_without_times_are_no_crash():
    assert compare_witness({}, lists()).status is Status.SKIPPED
    rows = [{"kind": "kernel", "name": LONG, "stream": 7}]
    bare = {"mock eager": [Trace(activities_table(rows), TraceInfo("test"))]}
    assert compare_witness(bare, bare).status is Status.PASS


def observation(**more):
    sides = [SideObservation(name, name, eager=recorded(), replay=recorded()) for name in SIDES]
    return Observation(*sides, **more)


SIDES = ("mock", "reference")


def recorded():
    """Two live forwards."""
    return region_trace([(1, FORWARD, None), (2, FORWARD, None)], [1, 2])


def region_trace(regions, launched_in):
    """Regions (id, name, parent), and in each of some a forward."""
    rows = [
        {**row, "launched_in": region, "start_ns": row["start_ns"] + at * 10**6}
        | {"end_ns": row["end_ns"] + at * 10**6}
        for at, region in enumerate(launched_in)
        for row in forward().activities.to_pylist()
    ]
    columns = [dict(zip(("id", "name", "parent"), one, strict=True)) for one in regions]
    return Trace(activities_table(rows), TraceInfo("nsys"), regions_table(columns))


def seen():
    """What nsys has of `observation`: each list in its region, and something around."""
    regions, launched, number = [(1, "load", None)], [1], 1
    for side in SIDES:
        for mode in ("eager", "graph replay"):
            number += 1
            outer = number
            regions.append((outer, f"{PREFIX}{side} {mode}", None))
            for _ in range(2):
                number += 1
                regions.append((number, FORWARD, outer))
                launched.append(number)
    return region_trace(regions, launched)


def test_a_trace_of_nsys_is_cut_into_lists_and_forwards():
    found = witnessed(seen())
    names = [f"{side} {mode}" for side in SIDES for mode in ("eager", "graph replay")]
    assert list(found) == names
    assert [[len(one) for one in found[name]] for name in names] == [[3, 3]] * 4


def test_damaged_regions_are_no_endless_loop():
    assert witnessed(region_trace([(1, PREFIX + "x", 2), (2, "a", 3), (3, "b", 2)], [])) == {
        "x": []
    }


@pytest.mark.parametrize(
    ("phase", "timed", "noise"), [("decode", 9, 0.007), ("prefill", 27, 0.005)]
)
def test_replays_of_vllm_on_an_h200_agree_with_themselves_within_the_tolerance(phase, timed, noise):
    trace = read_trace(DATA / "nsys_h200_replays.parquet")
    steps = replays(trace, f"{phase}_replay")
    found = compare_witness({"a": steps[:10]}, {"a": steps[10:]})
    assert found.status is Status.PASS
    assert found.data["kernels_timed"] == timed
    assert found.data["median_difference"] < noise
    shorter = [one.slice(0, len(one) - 1) for one in steps[10:]]
    assert compare_witness({"a": steps[:10]}, {"a": shorter}).status is Status.FAIL


def replays(trace, outer):
    """The activities of each region inside the one of this name."""
    rows = trace.regions.to_pylist()
    root = next(row["id"] for row in rows if row["name"] == outer)
    launched_in = trace.launch_regions()
    return [
        replace(trace, activities=trace.activities.filter(pc.equal(launched_in, row["id"])))
        for row in rows
        if row["parent"] == root
    ]


def test_the_check_is_the_last_and_in_no_list_that_did_not_ask_for_it():
    assert list(CHECKS)[-1] == NAME
    assert NAME not in checks_of(observation())
    assert NAME in checks_of(observation(witness=Witness(str(NSYS), problem="full")))
    assert NAME in checks_of(replace(observation(), required=frozenset({NAME})))
    found = witness(observation())
    assert (found.status, found.reason) == (Status.SKIPPED, "not asked for (--validate nsys)")


def test_the_check_passes_on_what_both_saw():
    found = witness(observation(witness=Witness(str(NSYS), seen())))
    assert found.status is Status.PASS
    assert "mock eager 3, mock graph replay 3, reference eager 3" in found.reason


def test_a_witness_that_saw_nothing_leaves_the_check_open():
    found = witness(observation(witness=Witness(str(NSYS), problem="the GPU is full")))
    assert found.status is Status.INCONCLUSIVE
    assert "saw nothing to compare with: the GPU is full" in found.reason


def test_without_a_gpu_validation_is_refused_before_anything_is_built(capsys):
    with pytest.raises(MissingDeviceError):
        runner.find_validator("meta", "dispatch")
    with pytest.raises(InputError, match="nsys sees kernels"):
        runner.find_validator("cuda", "dispatch")
    import torch

    if not torch.cuda.is_available():
        assert run_command(compare, ["--op", "dsa", "--tp", "8", "--validate", "nsys"]) == 2
        assert "--validate nsys needs an NVIDIA GPU" in capsys.readouterr().err


CASE = Case("dsa", "generation", 8, 2, 1, 4096, framework="transformers")


def child_under(monkeypatch, done, report=None):
    """nsys that writes this status (an object, or text as it is) and report for the child."""
    commands = []

    def call(command, _log):
        commands.append(command)
        request = json.loads(open(command[-1]).read())  # noqa: PTH123, SIM115
        if done is not None:
            with open(request["status"], "w") as file:  # noqa: PTH123
                file.write(done if isinstance(done, str) else json.dumps(done))
        output = next(w for w in command if w.startswith("--output=")).partition("=")[2]
        if report:
            with open(output + ".nsys-rep", "wb") as file:  # noqa: PTH123
                file.write(b"report")
        return "Collecting data...\nlast words\n"

    monkeypatch.setattr(runner, "_call", call)
    monkeypatch.setattr(runner, "read_nsys_rep", lambda _path: report)
    return commands


def test_the_child_gets_the_case_and_nsys_the_options(monkeypatch):
    commands = child_under(monkeypatch, {"notes": ["n"]}, seen())
    found = runner.run_witness(CASE, 5, 20, NSYS)
    assert (found.problem, found.notes, len(found.lists)) == ("", ("n",), 4)
    (command,) = commands
    assert command[:2] == ["/opt/nsys", "profile"]
    assert {"--trace=cuda,nvtx", "--cuda-graph-trace=node"} <= set(command)
    assert command[-2] == "harness.compare.witness_child"


@pytest.mark.parametrize(
    ("done", "problem"),
    [
        ({"error": "vllm is not installed"}, "vllm is not installed"),
        (None, "the case did not run under nsys: last words"),
        ({"notes": []}, "nsys wrote no report"),
        ('{"notes": [', "its status cannot be read"),
        ("[]", "its status cannot be read"),
        ({}, "its status cannot be read"),
    ],
)
def test_what_goes_wrong_in_the_child_becomes_the_reason(monkeypatch, done, problem):
    child_under(monkeypatch, done)
    assert problem in runner.run_witness(CASE, 5, 20, NSYS).problem


def test_what_nsys_and_the_child_print_is_read(tmp_path):
    text = "import sys; print('out'); print('no', file=sys.stderr)"
    printed = runner._call([sys.executable, "-c", text], tmp_path / "log")
    assert sorted(printed.split()) == ["no", "out"]
    with pytest.raises(runner.WitnessError, match="could not run the case"):
        runner._call(["/no/such/nsys"], tmp_path / "log")


def test_nsys_that_takes_too_long_is_ended_with_what_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "TIMEOUT_S", 3.0)
    child = "import signal as s, time; s.signal(2, s.SIG_IGN); time.sleep(60)"
    text = (
        f"import subprocess as s, sys; c = s.Popen([sys.executable, '-c', {child!r}]); "
        "print(c.pid, flush=True); c.wait()"
    )
    with pytest.raises(runner.WitnessError, match="timed out after 3"):
        runner._call([sys.executable, "-c", text], tmp_path / "log")
    assert ends(int((tmp_path / "log").read_text().split()[0]))


def test_the_child_runs_each_list_in_a_region_that_names_it(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    entered = []

    class Region:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            entered.append(self.name)

        def __exit__(self, *_):
            pass

    class Graph:
        def replay(self):
            entered.append("replay")

        def close(self):
            entered.append("closed")

    monkeypatch.setattr(witness_child, "region", Region)
    monkeypatch.setattr("harness.compare.recording.region", Region)
    monkeypatch.setattr(witness_child, "capture", lambda _side: Graph())
    monkeypatch.setattr(witness_child, "warm_up_clocks", lambda side: entered.append("warm"))
    sides = Sides(*(Side(name, lambda: entered.append("call")) for name in SIDES))
    options = Options("cpu", witness_child.WatchedBy(""), forwards=2, replays=2)
    assert witness_child.run_passes(sides, options) == []
    eager = [f"{PREFIX}mock eager", FORWARD, "call", FORWARD, "call"]
    replay = [f"{PREFIX}mock graph replay", FORWARD, "replay", FORWARD, "replay", "closed"]
    mock = ["warm", *eager, *replay]
    assert entered == [*mock, *(word.replace("mock", "reference") for word in mock)]


def test_the_child_calls_a_side_until_clocks_have_risen():
    calls, times = [], iter([0.0, 0.1, 0.2, witness_child.WARM_S])
    side = Side("mock", lambda: calls.append("call"))
    witness_child.warm_up_clocks(side, times.__next__)
    assert calls == ["call", "call"]


def test_the_child_reports_any_error_in_its_status(tmp_path):
    status = tmp_path / "status.json"
    case = {**CASE.to_dict(), "op": "no such operator"}
    request = tmp_path / "request.json"
    request.write_text(
        json.dumps({"case": case, "forwards": 1, "replays": 1, "status": str(status)})
    )
    assert witness_child.main([str(request)]) == 1
    assert "no such operator" in json.loads(status.read_text())["error"]
    assert sorted(tmp_path.iterdir()) == [request, status]


def test_a_case_that_nsys_has_not_seen_is_not_resumed_when_it_has_to(tmp_path, monkeypatch, capsys):
    from harness.compare import output

    document = {
        "case": CASE.to_dict(),
        "tolerance": 0.01,
        "required": [],
        "equivalences": [],
        "recorder": "dispatch",
        "checks": [{"name": NAME, "status": "skipped", "data": {}}],
        "environment": {},
    }
    (tmp_path / "evidence.json").write_text("{}")
    monkeypatch.setattr(output, "verify_evidence", lambda _path: document)
    monkeypatch.setattr(output, "environment", lambda _argv: {})
    options = Options("cuda", DispatchRecorder())
    assert finished(tmp_path, CASE, options) is document
    assert finished(tmp_path, CASE, replace(options, validator=NSYS)) is None
    assert "has other nsys witness" in capsys.readouterr().err
