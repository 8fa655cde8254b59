"""How ``compare`` is told to time, and that what it is told reaches the measurement."""

import pytest
import torch

from harness.align.model import CheckResult, Status
from harness.cli import run_command
from harness.compare import command, output, timing
from harness.compare.command import compare
from harness.compare.options import Options
from harness.measure.paired import TIME_BUDGET_S
from harness.record.dispatch import DispatchRecorder
from ops.case import Case
from ops.sides import Side, Sides

DSA = ["--op", "dsa", "--tp", "8", "--framework", "transformers"]


@pytest.fixture
def given(monkeypatch):
    """The options that a command line makes; nothing is compared."""
    seen = []

    def run(_jobs, options, *_rest):
        seen.append(options)
        return [{"verdict": "aligned"}]

    monkeypatch.setattr(command, "_run", run)
    monkeypatch.setattr(command, "evidence_json", lambda _results: "{}")
    return lambda *more: (run_command(compare, [*DSA, "--json", *more]), seen[-1])[1]


def test_by_default_instances_are_chosen_and_the_cache_is_warm(given):
    options = given()
    assert (options.instances, options.cache) == (None, "warm")
    assert options.time_budget == TIME_BUDGET_S


def test_instances_cache_and_time_budget_can_be_chosen(given):
    options = given("--instances", "4", "--cache", "cold", "--time-budget", "2.5")
    assert (options.instances, options.cache, options.time_budget) == (4, "cold", 2.5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--instances", "0"], "--instances"),
        (["--cache", "tepid"], "'tepid' is not one of 'warm', 'cold'"),
        (["--time-budget", "0"], "--time-budget"),
    ],
)
def test_what_cannot_be_timed_is_refused_in_one_line(arguments, said, capsys):
    assert run_command(compare, [*DSA, *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_the_options_and_the_factory_of_the_sides_reach_the_measurement(monkeypatch):
    seen = {}
    monkeypatch.setattr(timing, "ConditionsWatch", lambda _device: Watch())
    monkeypatch.setattr(timing, "measure_pair", lambda *_sides, **how: seen.update(how))
    sides = Sides(Side("mock", lambda: None), Side("reference", lambda: None))
    sides.another = lambda: sides
    options = Options("cuda", DispatchRecorder(), instances=3, cache="cold", time_budget=7)
    timing.observe_untraced(sides, options, None, "")
    assert seen == {
        "tolerance": 0.01,
        "another": sides.another,
        "instances": 3,
        "cache": "cold",
        "time_budget": 7,
        "rounds": None,
    }


class Watch:
    def finish(self):
        return None


def test_a_case_that_was_timed_with_another_cache_is_not_resumed(tmp_path, monkeypatch, capsys):
    case = Case("dsa", "context", tp=8)
    latency = CheckResult("latency", Status.PASS, "", data={"cache": "cold"})
    document = {
        "case": case.to_dict(),
        "tolerance": 0.01,
        "required": [],
        "equivalences": [],
        "recorder": "dispatch",
        "checks": [{"name": latency.name, "data": latency.data}],
        "environment": {},
    }
    (tmp_path / "evidence.json").write_text("{}")
    monkeypatch.setattr(output, "verify_evidence", lambda _path: document)
    monkeypatch.setattr(output, "environment", lambda _argv: {})
    recorder = DispatchRecorder()
    assert output.finished(tmp_path, case, Options("cuda", recorder, cache="cold")) is document
    assert output.finished(tmp_path, case, Options("cuda", recorder)) is None
    assert "has other cache state" in capsys.readouterr().err


def test_without_a_device_nothing_is_timed_and_the_options_do_no_harm(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    small = ["--phase", "generation", "--kv-len", "128"]
    assert run_command(compare, [*DSA, *small, "--instances", "3", "--cache", "cold"]) == 0
