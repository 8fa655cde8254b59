"""benchmark_with_power on the CPU: what it calls, yields, reads from the environment and tells."""

import warnings

import pytest
import torch

from harness import benchmark_with_power
from harness.errors import InputError, MissingDeviceError
from harness.measure.hooks import add_listener, on_benchmark, remove_listener
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


def test_it_yields_what_the_collectors_read():
    with benchmark_with_power("cpu", lambda: None, num_runs=4) as result:
        assert result.keys() >= COLLECTOR_KEYS
    assert isinstance(result["latency_ms"], float)
    assert result["num_runs_executed"] == 4
    assert result["used_cuda_graph"] is False
    assert result["throttled"] is False
    assert result["power_stats"] is None
    assert len(result["samples_ms"]) == 4


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
