"""The benchmark of recording, without a GPU: goals, children that fail, the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import recorder, recorder_children, recorder_process, tables
from benchmarks.recorder_clock import Host
from benchmarks.recorder_goals import goals, missed
from benchmarks.recorder_measure import measure
from benchmarks.recorder_peers import Nothing, Seen
from benchmarks.recorder_process import Job
from benchmarks.recorder_profilers import _count
from benchmarks.recorder_summary import failures, figure, rows, summarised
from benchmarks.recorder_workloads import QUICK, Part, Sizes

NAMES = ("graph", "dsa_eager", "dsa_graph", "million", "million_graph")


def child(peer: str, part: str, repetition: int = 0, **figures: float) -> dict:
    """The line of a child that measured one part once."""
    values = {name: [value] for name, value in figures.items()}
    measured = {"values": values, "records_requested": 3, "calls": 1, "nodes_per_call": 1}
    measured["problems"] = []
    line = {"peer": peer, "workload": part, "repetition": repetition}
    return line | {"parts": {part: measured}}


def good() -> list[dict]:
    """Children whose figures meet every goal, barely."""
    resting = {"at_rest_bytes_per_record": 119.0, "lost": 0.0}
    to_data = "usable_us_per_record"
    return [
        child("nothing", "eager", launch_us=5),
        child("floor", "eager", launch_us=7),
        child("floor_filtered", "eager", launch_us=7),
        child("torch_profiler", "eager", launch_us=11),
        child("harness", "eager", launch_us=8, **resting),
        *[child("harness", name, **resting, **{to_data: 0.5}) for name in NAMES],
        child("cupti_python_13_0", "million", **{to_data: 50.0}),
        child("cupti_python_13_4", "million", **{to_data: 0.75}),
        child("harness", "records_1000", **{to_data: 0.3}),
        child("harness", "records_1000000", **{to_data: 0.6}),
    ]


def changed(peer: str, part: str, **figures: float) -> list[dict]:
    """The good children with some figures of one replaced."""
    lines = good()
    for line in lines:
        if line["peer"] == peer and part in line["parts"]:
            line["parts"][part]["values"] |= {name: [value] for name, value in figures.items()}
    return lines


def options(*arguments: str):
    return recorder.parser().parse_args(arguments)


def test_figures_at_the_bounds_meet_every_goal():
    found = goals(summarised(good()))
    assert missed(found) == []
    assert found["launch_over_floor"]["measured"] == pytest.approx(8 / 7)
    assert found["added_launch_torch_over_harness"]["measured"] == pytest.approx(2)
    beyond_reach = {"added_launch_torch_over_floor"}
    assert {name for name, line in found.items() if not line["met"]} <= beyond_reach


@pytest.mark.parametrize(
    ("peer", "part", "figures", "names"),
    [
        ("floor", "eager", {"launch_us": 6.9}, ["launch_over_floor"]),
        ("floor_filtered", "eager", {"launch_us": 6.9}, ["launch_over_floor_filtered"]),
        ("harness", "graph", {"at_rest_bytes_per_record": 120.0}, ["memory_graph"]),
        ("harness", "million", {"lost": 1.0}, ["lost_million"]),
        ("harness", "records_1000000", {"usable_us_per_record": 0.7}, ["flat_growth"]),
        ("cupti_python_13_4", "million", {"usable_us_per_record": 0.7}, None),
    ],
)
def test_a_figure_beyond_its_bound_misses_its_goal(peer, part, figures, names):
    expected = names or ["end_to_trace_cupti_python_13_4"]
    assert missed(goals(summarised(changed(peer, part, **figures)))) == expected


def test_the_wished_bound_fails_no_run():
    lines = changed("harness", "million", usable_us_per_record=0.6)
    for line in lines:
        if line["peer"].startswith("cupti_python"):
            line["parts"]["million"]["values"]["usable_us_per_record"] = [60.0]
    found = goals(summarised(lines))
    assert found["end_to_trace_wished"]["met"] is False
    assert found["end_to_trace"]["met"] is True
    assert missed(found) == []


def test_one_loss_in_one_repetition_is_a_loss():
    lines = [*good(), *[child("harness", "million", n, lost=0.0) for n in (1, 2)]]
    lines.append(child("harness", "million", 3, lost=7.0))
    assert goals(summarised(lines))["lost_million"]["measured"] == 7


def test_a_goal_without_figures_is_missed_unless_the_workload_cannot_run_here():
    lines = [line for line in good() if "dsa" not in line["workload"]]
    assert missed(goals(summarised(lines))) == ["memory_dsa_eager", "memory_dsa_graph"]
    lines.append({"peer": "harness", "workload": "dsa", "repetition": 0, "skipped": "no vllm"})
    figures = recorder.document(options(), Sizes(), lines)
    assert missed(figures["goals"]) == []
    assert figures["goals"]["memory_dsa_eager"]["met"] is None


def test_repetitions_are_pooled_and_failures_named():
    lines = [child("floor", "eager", n, launch_us=value) for n, value in enumerate((3, 1, 2))]
    lines.append({"peer": "proton", "workload": "eager", "repetition": 0, "error": "broken"})
    summary = summarised(lines)
    assert summary["floor"]["eager"]["figures"]["launch_us"] == {
        "median": 2,
        "min": 1,
        "max": 3,
        "n": 3,
    }
    assert figure(summary, "proton", "eager", "launch_us") is None
    assert failures(lines) == ["eager, proton, repetition 0: broken"]
    assert [row[:3] for row in rows(summary)] == [["eager", "floor", "2.00"]]


def test_a_child_measures_a_workload_that_needs_no_device():
    (line,) = recorder_children.run([Job("nothing", "host")], QUICK, together=1, seconds=60)
    assert "error" not in line
    assert len(line["parts"]["host"]["values"]["launch_us"]) == 3


def test_a_failing_child_is_a_line_and_the_others_run():
    jobs = [Job("nothing", "no such workload"), Job("nothing", "host")]
    told: list[str] = []
    first, second = recorder_children.run(jobs, QUICK, together=2, seconds=60, told=told.append)
    assert "invalid choice: 'no such workload'" in first["error"]
    assert "parts" in second
    assert len(told) == 2


def test_a_child_that_dies_leaves_its_last_words():
    command = [sys.executable, "-c", "raise SystemExit('last words of /some/where/file.py')"]
    (line,) = recorder_children.run(
        [Job("nothing", "host")], QUICK, together=1, seconds=60, command=command
    )
    assert line["error"] == "ended with 1: last words of .../file.py"


def test_a_child_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(recorder_process, "SETUP_S", 0.2)
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    (line,) = recorder_children.run(
        [Job("nothing", "host")], QUICK, together=1, seconds=60, command=command
    )
    assert line["error"].startswith("timed out: set up")


def test_nothing_is_started_when_the_time_is_up():
    (line,) = recorder_children.run([Job("nothing", "host")], QUICK, together=1, seconds=-1)
    assert line["error"] == recorder_children.TIME_IS_UP


def test_a_peers_packages_come_before_all_others(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "known")
    found = Job("cupti_python_13_4", "eager", packages=tmp_path).environment()["PYTHONPATH"]
    assert found.split(":") == [str(tmp_path), "known"]


def test_the_command_line_plans_every_peer_of_every_workload(tmp_path):
    folders = ("--cupti-python-13-0", str(tmp_path), "--cupti-python-13-4", str(tmp_path))
    jobs, left_out = recorder.plan(options(*folders))
    assert left_out == []
    of_each = {(job.peer, job.workload) for job in jobs}
    assert len(of_each) == 4 * 8 + 2
    assert sum(job.peer == "harness" for job in jobs) == 3 * 6
    slow = {job.workload: job.limit for job in jobs if job.peer == "torch_profiler"}
    assert slow["million"] == 100_000
    assert [job.repetition for job in jobs] == sorted(job.repetition for job in jobs)


def test_the_smoke_run_covers_everything_once():
    jobs, left_out = recorder.plan(options("--quick"))
    assert len(jobs) == len(set(jobs)) == 4 * 6 + 2
    assert [line["peer"] for line in left_out] == ["cupti_python_13_0", "cupti_python_13_4"]
    assert recorder.sizes_of(options("--quick")) == QUICK
    assert recorder.sizes_of(options("--records", "5")).records == 5


def test_a_limited_part_keeps_within_its_records():
    part = Part("graph", lambda: None, 100, nodes=998)
    assert part.records_per_call == 1_000
    assert part.limited(5_500).calls == 5
    assert part.limited(10).calls == 1
    assert part.limited(0).calls == 100


class Counting(Nothing):
    """A peer that sees all activities but one, and knows its memory."""

    def start(self, records: int) -> None:
        self.expected = records

    def seen(self) -> Seen:
        return Seen(records=100, activities=99, dropped=0, at_rest_bytes=1_000, problems=("odd",))


def test_losses_memory_and_residual_are_measured_per_part():
    part = Part("fake", lambda: None, 10, nodes=10, graph=True, recordings=1)
    found = measure(Counting(), [part], Host())["fake"]
    values = found["values"]
    assert values["lost"] == [1, 1]
    assert values["at_rest_bytes_per_record"] == [10, 10]
    assert found["problems"] == ["odd"]
    assert len(values["usable_us"]) == len(values["usable_unsynchronised_us"]) == 1
    assert {"before_node_us", "after_node_us", "first_start_us", "node_us"} <= set(values)


def test_launches_are_added_up_over_a_hatchet_tree():
    kernel = {"frame": {}, "metrics": {"count": 4, "time (ns)": 9}, "children": []}
    root = {"frame": {}, "metrics": {}, "children": [{"metrics": {}, "children": [kernel, kernel]}]}
    assert _count([root, {"CUDA": {"0": {}}}]) == 8


def test_the_page_shows_the_figures_only_where_they_are(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(tables, "DEFAULT_FOLDER", tmp_path)
    assert tables.recorder("recorder", "Cost", complete=True) == []
    environment = {"versions": {}, "gpu": {"name": "a GPU"}, "created": "today", "command": "c"}
    figures = recorder.document(options(), Sizes(), good())
    document = {"environment": environment, "figures": figures}
    (tmp_path / "recorder.json").write_text(json.dumps(document))
    text = "\n".join(tables.recorder("recorder", "Cost", complete=True))
    assert "| eager | harness | 8.00 | 3.00 |" in text
    assert "| lost_million | <= 0 | 0.000 | yes |" in text
