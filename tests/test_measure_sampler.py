"""Sampling from another process: a real one, whose ``pynvml`` is made up."""

import os
import sys
import time

import pytest

from harness.measure import sampler as sampler_module
from harness.measure.instant_power import trace_power
from harness.measure.sampler import Sampler, SamplerError, sampler
from harness.measure.sampling import CardKeeper, PowerKeeper

FAKE = """
import os
from types import SimpleNamespace
class NVMLError(Exception): pass
class NVMLError_NotSupported(NVMLError): pass
class NVMLError_NoPermission(NVMLError): pass
class NVMLError_FunctionNotFound(NVMLError): pass
NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
calls = [0]
def nvmlInit():
    if "FAKE_NO_DRIVER" in os.environ: raise NVMLError("no driver")
def nvmlDeviceGetHandleByUUID(uuid): return uuid
def nvmlDeviceGetFieldValues(handle, fields):
    calls[0] += 1
    if calls[0] > int(os.environ.get("FAKE_READINGS", 10**9)): raise NVMLError("GPU is lost")
    if "FAKE_HANG" in os.environ: import time; time.sleep(60)
    code = 3 if handle == "GPU-mute" else 0
    return [SimpleNamespace(nvmlReturn=code, value=SimpleNamespace(uiVal=600_000 + calls[0]))]
def nvmlDeviceGetClockInfo(handle, kind):
    calls[0] += 1
    return 1900 + calls[0]
def nvmlDeviceGetCurrentClocksEventReasons(handle): return 0x44
def nvmlDeviceGetComputeRunningProcesses(handle):
    return [SimpleNamespace(pid=os.getppid()), SimpleNamespace(pid=7)]
"""


@pytest.fixture
def fake_nvml(tmp_path, monkeypatch):
    """The made-up package where the sampling process finds it first."""
    (tmp_path / "pynvml.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sampler_module, "_open", {})
    yield
    for child in sampler_module._open.values():
        child.close()


def test_instant_power_is_traced_while_a_block_runs(fake_nvml):
    with trace_power("GPU-a", period_s=0.01) as trace:
        begun = time.monotonic()
        time.sleep(0.3)
        ended = time.monotonic()
    within = [at for at in trace.times_s if begun <= at <= ended]
    assert len(within) >= 2
    assert trace.times_s == sorted(trace.times_s)
    assert trace.watts[0] == pytest.approx(600.001)
    plain = trace.plain(begun)
    assert len(plain["time_s"]) == len(plain["power_w"])
    assert min(plain["time_s"]) < 0.01


def test_a_process_is_started_once_and_sampled_with_again_and_again(fake_nvml):
    child = sampler("GPU-a", "card")
    for _ in range(3):
        child.begin(0.01)
        assert child.end()["readings"] >= 2
    assert sampler("GPU-a", "card") is child
    assert sampler("GPU-b", "card") is not child


def test_the_state_of_the_card_is_summed_up(fake_nvml):
    child = sampler("GPU-a", "card")
    child.begin(0.01)
    time.sleep(0.1)
    found = child.end()
    least, most = found["sm_clock_mhz"]
    assert least < most
    assert found["clock_event_reasons"] == ["hw_thermal", "sw_power_cap"]
    assert found["throttled"]
    assert found["process_ids"] == sorted([7, os.getpid()])
    assert "temperature_c" not in found  # this package does not offer it


def test_a_sampling_that_nobody_ended_is_dropped(fake_nvml):
    child = sampler("GPU-a", "power")
    child.begin(0.01)
    time.sleep(0.1)
    child.begin(0.01)
    again = time.monotonic()
    assert child.end()["times_s"][0] <= again
    with pytest.raises(SamplerError, match="not being sampled"):
        child.end()


def test_a_card_without_instant_power_is_an_error_at_once(fake_nvml):
    with pytest.raises(SamplerError, match="does not tell its instant power"):
        sampler("GPU-mute", "power").begin(0.01)
    sampler("GPU-mute", "card").begin(0.01)


def test_a_card_that_is_lost_on_the_way_is_an_error_at_the_end(fake_nvml, monkeypatch):
    monkeypatch.setenv("FAKE_READINGS", "3")
    child = sampler("GPU-a", "power")
    child.begin(0.01)
    time.sleep(0.2)
    with pytest.raises(SamplerError, match="GPU is lost"):
        child.end()
    assert child.alive


def test_without_a_driver_the_error_says_so(fake_nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NO_DRIVER", "1")
    with pytest.raises(SamplerError, match="no driver"):
        sampler("GPU-a", "power").begin(0.01)


def test_a_driver_that_hangs_does_not_hang_the_measurement(fake_nvml, monkeypatch):
    monkeypatch.setenv("FAKE_HANG", "1")
    monkeypatch.setattr(sampler_module, "ANSWER_TIMEOUT_S", 0.5)
    child = sampler("GPU-a", "power")
    with pytest.raises(SamplerError, match="does not answer"):
        child.begin(0.01)
    assert not child.alive


def test_a_command_that_does_not_exist_is_an_error():
    with pytest.raises(SamplerError, match="no sampling process"):
        Sampler("GPU-a", "power", ["/nonexistent/python"])


def test_the_sampling_process_ends_with_the_one_that_started_it(fake_nvml):
    child = sampler("GPU-a", "card")
    child.begin(0.01)
    child._process.stdin.close()  # as the end of this process would
    child._process.wait(5)
    assert not child.alive


def test_the_sampling_process_imports_no_torch():
    assert "harness.measure.sampling" in sys.modules
    from tests.gpu_support import python

    done = python("import harness.measure.sampler_child, sys; print('torch' in sys.modules)")
    assert done.stdout == "False\n"


class Steady:
    """A card whose power is the number of the reading."""

    def __init__(self):
        self.read = 0

    def instant_power_w(self, uuid):
        self.read += 1
        return float(self.read)

    def snapshot(self, uuid):
        return dict.fromkeys(
            ("sm_clock_mhz", "memory_clock_mhz", "temperature_c", "power_limit_w",
             "clock_event_reasons", "process_ids", "throttled")
        )  # fmt: skip


def test_a_long_trace_is_thinned_and_still_covers_all_of_the_time():
    keeper = PowerKeeper(Steady(), "GPU-a", 0.01, most=64)
    for step in range(10_000):
        keeper.add(step * 0.01)
    found = keeper.result()
    assert len(found["times_s"]) == len(found["watts"]) < 64
    assert found["times_s"][0] == 0
    assert found["times_s"][-1] > 90
    assert found["period_s"] > 1


def test_readings_that_a_card_does_not_offer_are_left_out():
    keeper = CardKeeper(Steady(), "GPU-a", 0.01)
    keeper.add(0.0)
    assert keeper.result() == {
        "readings": 1,
        "clock_event_reasons": [],
        "process_ids": [],
        "throttled": False,
    }
