"""benchmark_with_power on the CPU: what it calls, yields, reads from the environment and tells."""

import inspect
import math
import sys
import warnings

import numpy as np
import pytest
import torch

from harness import benchmark_with_power
from harness.errors import InputError, MissingDeviceError
from harness.measure import benchmark
from harness.measure.benchmark_result import make_result
from harness.measure.graph import CaptureError
from harness.measure.hooks import add_listener, on_benchmark, remove_listener
from harness.measure.plan import make_plan
from harness.measure.runs import RunTimes, median_interval
from harness.record.regions import open_regions

COLLECTOR_KEYS = {
    "latency_ms",
    "power_stats",
    "throttled",
    "num_runs_executed",
    "used_cuda_graph",
}

pytestmark = pytest.mark.filterwarnings("ignore:timed on the CPU:RuntimeWarning")


@pytest.fixture
def told():
    """Benchmarks that a listener was told of while the test ran."""
    calls = []
    add_listener(calls.append)
    yield calls
    remove_listener(calls.append)


def test_it_has_the_collectors_parameters_in_their_order_with_their_defaults():
    parameters = inspect.signature(benchmark_with_power).parameters.values()
    assert [(one.name, one.default) for one in parameters] == [
        ("device", inspect.Parameter.empty),
        ("kernel_func", inspect.Parameter.empty),
        ("num_warmups", 3),
        ("num_runs", 6),
        ("repeat_n", 1),
        ("measure_power", None),
        ("power_min_duration", None),
        ("allow_graph_fail", False),
        ("use_cuda_graph", True),
    ]


def test_it_yields_what_the_collectors_read():
    with benchmark_with_power("cpu", lambda: None, num_runs=4) as result:
        assert result.keys() >= COLLECTOR_KEYS
    assert isinstance(result["latency_ms"], float)
    assert result["num_runs_executed"] == 4
    assert result["used_cuda_graph"] is False
    assert result["throttled"] is False
    assert result["power_stats"] is None
    assert len(result["samples_ms"]) == 4
    assert result["energy_j"] is None
    assert result["notes"] == ["timed on the CPU with the host's clock: no CUDA graph, no power"]
    assert result["conditions"].unavailable == "not a CUDA device"


def test_the_latency_is_the_mean_of_all_runs_and_the_median_stands_beside_it():
    times = RunTimes(3.0, (1.0, 2.0, 3.0, 4.0, 5.0, 9.0)).per_call(2)
    result = result_of(times, repeat_n=2)
    assert result["latency_ms"] == 1.5
    assert result["median_ms"] == 1.75
    assert result["samples_ms"] == [0.5, 1.0, 1.5, 2.0, 2.5, 4.5]
    assert result["ci95_ms"] == (0.5, 4.5)


def test_runs_on_the_cpu_add_up_to_the_mean():
    with benchmark_with_power("cpu", lambda: None, num_runs=10) as result:
        pass
    assert math.isclose(result["latency_ms"], sum(result["samples_ms"]) / 10)


def test_fewer_than_six_samples_have_no_interval():
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) is None
    assert median_interval([float(n) for n in range(30)]) == (9.0, 20.0)


def test_without_scipy_the_interval_is_missed_and_not_the_result(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    result = result_of(RunTimes(1.0, (1.0,) * 6))
    assert result["ci95_ms"] is None
    assert result["notes"] == ["ci95_ms is not computed: scipy is not installed"]


def test_with_power_everything_is_of_the_runs_of_the_power_window():
    energy = {"power": 500.0, "power_limit": 700.0, "energy_j": 2.0, "replay_ms": 4.0}
    energy |= {"calls": 250, "ticks": 9}
    result = result_of(RunTimes(3.0, (3.0,) * 6).per_call(2), energy, repeat_n=2)
    assert result["power_stats"] == {"power": 500.0, "power_limit": 700.0}
    assert result["latency_ms"] == 2.0
    assert result["num_runs_executed"] == 250
    assert result["energy_j"] == 1.0
    assert result["energy"]["ticks"] == 9
    assert result["median_ms"] == 1.5


def result_of(per_call, energy=None, repeat_n=1):
    plan = make_plan(
        num_warmups=0,
        num_runs=6,
        repeat_n=repeat_n,
        measure_power=False,
        power_min_duration=1.0,
        allow_graph_fail=False,
        use_cuda_graph=True,
    )
    per_run = RunTimes(
        per_call.mean_ms * repeat_n, tuple(one * repeat_n for one in per_call.samples_ms)
    )
    return make_result(per_run, plan, energy, (({}, ""), ({}, "")), [], True)


def capturing(monkeypatch, *, calls):
    """Let captures fail as those of CUDA do, with or without a call that raises."""

    def capture(side, warmups, **_):
        for _ in range(warmups):
            side.call()
        if calls:
            try:
                side.call()
            except KeyError as error:
                raise CaptureError(side.label, str(error)) from None
        raise CaptureError(side.label, "the end of it")

    monkeypatch.setattr(benchmark, "capture", capture)


def plan_of(**more):
    some = {"num_warmups": 1, "num_runs": 1, "repeat_n": 1, "measure_power": False}
    rest = {"power_min_duration": 1.0, "allow_graph_fail": False, "use_cuda_graph": True}
    return make_plan(**(some | rest | more))


class Failing:
    """Works when it is warmed up, and not in a capture."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.calls > 1:
            raise KeyError("mine")


def test_what_a_call_raises_in_a_capture_is_raised_as_it_is(monkeypatch):
    capturing(monkeypatch, calls=True)
    with pytest.raises(KeyError, match="mine") as caught:
        benchmark._warm_graph(Failing(), plan_of())
    assert isinstance(caught.value.__cause__, CaptureError)


def test_a_capture_that_fails_by_itself_raises_what_torch_raises(monkeypatch):
    capturing(monkeypatch, calls=False)
    with pytest.raises(RuntimeError, match="the end of it") as caught:
        benchmark._warm_graph(lambda: None, plan_of())
    assert isinstance(caught.value, CaptureError)


def test_a_capture_that_may_fail_is_told_as_a_reason(monkeypatch):
    capturing(monkeypatch, calls=True)
    graph, problem = benchmark._warm_graph(Failing(), plan_of(allow_graph_fail=True))
    assert graph is None
    assert "mine" in problem


def test_without_a_graph_nothing_is_captured(monkeypatch):
    capturing(monkeypatch, calls=True)
    calls = []
    found = benchmark._warm_graph(lambda: calls.append(1), plan_of(use_cuda_graph=False))
    assert found == (None, "")
    assert len(calls) == 1


def test_everything_is_measured_before_the_body_starts():
    calls = []
    with benchmark_with_power(
        torch.device("cpu"), lambda: calls.append(1), num_warmups=2, num_runs=3, repeat_n=5
    ):
        assert len(calls) == 2 + 3 * 5
        calls.clear()
    assert calls == []


def test_only_the_timed_calls_are_inside_the_region():
    inside = []
    with benchmark_with_power(
        "cpu", lambda: inside.append([region.name for region in open_regions()]), 2, 3
    ):
        assert open_regions() == ()
    assert inside == [[]] * 2 + [["benchmark"]] * 3


def test_the_cpu_is_named_in_one_warning_that_points_at_the_caller():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with benchmark_with_power("cpu", lambda: None):
            pass
    assert [str(warning.message).split(":")[0] for warning in caught] == [
        "timed on the CPU with the host's clock"
    ]
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("text", "wanted"), [("true", True), ("1", True), ("YES", True), ("0", False), ("", False)]
)
def test_the_environment_decides_on_power_where_the_caller_does_not(
    text, wanted, told, monkeypatch
):
    monkeypatch.setenv("COLLECTOR_MEASURE_POWER", text)
    monkeypatch.setenv("COLLECTOR_POWER_MIN_DURATION", "2.5")
    with benchmark_with_power("cpu", lambda: None):
        pass
    assert told[0].arguments["measure_power"] is wanted
    assert told[0].arguments["power_min_duration"] == 2.5


def test_arguments_win_over_the_environment(told, monkeypatch):
    monkeypatch.setenv("COLLECTOR_MEASURE_POWER", "true")
    monkeypatch.setenv("COLLECTOR_POWER_MIN_DURATION", "not a number")
    with benchmark_with_power("cpu", lambda: None, measure_power=False, power_min_duration=0.5):
        pass
    assert told[0].arguments["measure_power"] is False
    assert told[0].arguments["power_min_duration"] == 0.5


def test_a_duration_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("COLLECTOR_POWER_MIN_DURATION", "soon")
    with (
        pytest.raises(InputError, match="COLLECTOR_POWER_MIN_DURATION is 'soon'"),
        benchmark_with_power("cpu", lambda: None),
    ):
        pass


@pytest.mark.parametrize("device", ["graphics", "meta", object()])
def test_a_device_that_cannot_be_timed_is_refused(device):
    with pytest.raises(InputError), benchmark_with_power(device, lambda: None):
        pass


@pytest.mark.parametrize("device", ["cuda", "cuda:3", 0])
def test_a_missing_gpu_is_not_replaced_by_the_cpu(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDeviceError), benchmark_with_power(device, lambda: None):
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_runs": 0},
        {"num_runs": 2.5},
        {"repeat_n": 0},
        {"num_warmups": -1},
        {"power_min_duration": -1},
        {"power_min_duration": math.nan},
        {"power_min_duration": math.inf},
    ],
)
def test_numbers_that_cannot_be_meant_are_refused_as_value_errors_too(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        plan_of(**wrong)
    assert isinstance(caught.value, InputError)


def test_numpys_integers_are_numbers():
    with benchmark_with_power("cpu", lambda: None, num_runs=np.int64(2)) as result:
        assert result["num_runs_executed"] == 2


def test_no_runs_is_refused():
    with (
        pytest.raises(InputError, match="num_runs is 0"),
        benchmark_with_power("cpu", lambda: None, num_runs=0),
    ):
        pass


def test_a_listener_is_told_after_timing_and_before_the_body(told):
    calls = []
    with benchmark_with_power("cpu", lambda: calls.append(1), num_warmups=0, num_runs=2) as result:
        (call,) = told
    assert call.result is result
    assert call.device == torch.device("cpu")
    call.kernel_func()
    assert len(calls) == 3


def test_only_the_innermost_listener_is_told(told):
    inner = []
    listener = inner.append
    add_listener(listener)
    with benchmark_with_power("cpu", lambda: None):
        pass
    remove_listener(listener)
    assert (len(told), len(inner)) == (0, 1)


def test_removing_a_listener_twice_is_harmless():
    before = list(on_benchmark)
    listener = [].append
    add_listener(listener)
    remove_listener(listener)
    remove_listener(listener)
    assert on_benchmark == before


def test_what_the_body_raises_comes_out_unchanged():
    with pytest.raises(KeyError, match="mine"), benchmark_with_power("cpu", lambda: None):
        raise KeyError("mine")
