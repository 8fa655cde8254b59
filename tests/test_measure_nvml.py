"""NVML readings, with a ``pynvml`` and two cards that are made up."""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from harness.errors import MissingDeviceError, MissingPackageError
from harness.measure import nvml as nvml_module
from harness.measure.nvml import NvmlError, device_uuid, nvml
from harness.measure.nvml_names import reason_names

CARDS = {
    "GPU-aaaa": {"sm": 1980, "limit": 700_000, "reasons": 0x004, "energy": 5_000},
    "GPU-bbbb": {"sm": 1200, "limit": 500_000, "reasons": 0x0A8, "energy": None},
}


def fake_pynvml():
    fake = ModuleType("pynvml")
    fake.NVMLError = type("NVMLError", (Exception,), {})
    for name in ("NotSupported", "NoPermission", "FunctionNotFound", "NotFound", "GpuIsLost"):
        setattr(fake, f"NVMLError_{name}", type(f"NVMLError_{name}", (fake.NVMLError,), {}))
    fake.NVML_CLOCK_SM, fake.NVML_CLOCK_MEM, fake.NVML_TEMPERATURE_GPU = 1, 2, 0
    fake.nvmlInit = lambda: None
    fake.nvmlSystemGetDriverVersion = lambda: "580.1"

    def by_uuid(uuid):
        if uuid not in CARDS:
            raise fake.NVMLError_NotFound("Not Found")
        return uuid

    def energy(handle):
        if CARDS[handle]["energy"] is None:
            raise fake.NVMLError_NotSupported("Not Supported")
        return CARDS[handle]["energy"]

    fake.nvmlDeviceGetHandleByUUID = by_uuid
    fake.nvmlDeviceGetTotalEnergyConsumption = energy
    fake.nvmlDeviceGetCurrentClocksEventReasons = lambda handle: CARDS[handle]["reasons"]
    fake.nvmlDeviceGetClockInfo = lambda handle, clock: CARDS[handle]["sm"] if clock == 1 else 3201
    fake.nvmlDeviceGetTemperature = lambda handle, sensor: 41
    fake.nvmlDeviceGetEnforcedPowerLimit = lambda handle: CARDS[handle]["limit"]
    fake.nvmlDeviceGetPowerUsage = lambda handle: 123_456
    fake.nvmlDeviceGetPersistenceMode = lambda handle: 1
    fake.nvmlDeviceGetComputeRunningProcesses = lambda handle: [
        SimpleNamespace(pid=pid) for pid in (os.getpid(), 4711)
    ]
    fake.nvmlDeviceGetMigMode = lambda handle: [0, 1]
    fake.nvmlDeviceGetEccMode = lambda handle: [1, 1]
    fake.nvmlDeviceGetViolationStatus = lambda handle, policy: SimpleNamespace(
        referenceTime=1, violationTime=1_000 + policy
    )
    fake.nvmlDeviceGetTotalEccErrors = lambda handle, kind, counter: (
        [3, 0][kind] if counter == 0 else 99
    )
    fake.nvmlDeviceGetFieldValues = lambda handle, fields: [
        SimpleNamespace(fieldId=fields[0], nvmlReturn=0, value=SimpleNamespace(uiVal=654_321))
    ]
    return fake


@pytest.fixture
def pynvml(monkeypatch):
    """The made-up package, and torch as it sees the cards under CUDA_VISIBLE_DEVICES=1,0."""
    fake = fake_pynvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    uuids = ["bbbb", "aaaa"]

    def properties(device=None):
        index = torch.device("cuda" if device is None else device).index or 0
        return SimpleNamespace(uuid=uuids[index])

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    nvml.cache_clear()
    yield fake
    nvml.cache_clear()


def test_a_device_is_the_same_card_for_torch_and_nvml_whatever_the_order(pynvml):
    assert nvml().snapshot("cuda:0")["sm_clock_mhz"] == 1200
    assert nvml().snapshot("cuda:1")["sm_clock_mhz"] == 1980
    assert nvml().snapshot(torch.device("cuda", 1))["uuid"] == "GPU-aaaa"


def test_a_snapshot_has_units_that_its_names_say(pynvml):
    snapshot = nvml().snapshot("cuda:1")
    assert snapshot["power_limit_w"] == 700
    assert snapshot["power_draw_w"] == pytest.approx(123.456)
    assert snapshot["memory_clock_mhz"] == 3201
    assert snapshot["temperature_c"] == 41
    assert snapshot["persistence"] is True
    assert snapshot["processes"] == 2
    assert snapshot["process_ids"] == [4711]
    assert (snapshot["ecc"], snapshot["mig_mode"]) == (True, False)
    assert snapshot["driver"] == "580.1"
    assert snapshot["mig"] is False


def test_a_power_cap_is_named_but_is_no_throttling(pynvml):
    snapshot = nvml().snapshot("cuda:1")
    assert snapshot["clock_event_reasons"] == ["sw_power_cap"]
    assert not snapshot["throttled"]


def test_thermal_and_power_brake_slowdowns_are_throttling(pynvml):
    snapshot = nvml().snapshot("cuda:0")
    assert snapshot["clock_event_reasons"] == ["hw_slowdown", "sw_thermal", "hw_power_brake"]
    assert snapshot["throttled"]


def test_unknown_reasons_are_shown_not_dropped():
    assert reason_names(0x1000 | 0x1) == ["gpu_idle", "0x1000"]
    assert reason_names(0) == []


def test_a_counter_that_the_card_lacks_is_none(pynvml):
    assert nvml().energy_mj("cuda:1") == 5_000
    assert nvml().energy_mj("cuda:0") is None


def test_a_uuid_names_its_card_without_torch(pynvml, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", None)
    assert nvml().energy_mj("GPU-aaaa") == 5_000


def test_counters_are_per_policy_in_ns_and_per_kind_of_memory_error(pynvml):
    counters = nvml().counters("cuda:1")
    assert counters["violations_ns"]["power"] == 1_000
    assert counters["violations_ns"]["total_base_clocks"] == 1_011
    assert counters["ecc_errors"] == {"corrected": 3, "uncorrected": 0}


def test_instant_power_is_in_watts_and_none_where_the_field_is_not_offered(pynvml):
    assert nvml().instant_power_w("cuda:1") == pytest.approx(654.321)
    absent = SimpleNamespace(nvmlReturn=3, value=None)
    pynvml.nvmlDeviceGetFieldValues = lambda handle, fields: [absent]
    assert nvml().instant_power_w("cuda:1") is None
    absent.nvmlReturn = 15
    with pytest.raises(NvmlError, match="POWER_INSTANT"):
        nvml().instant_power_w("cuda:1")


def test_a_reading_that_an_old_package_does_not_know_is_none(pynvml):
    del pynvml.nvmlDeviceGetViolationStatus
    del pynvml.nvmlDeviceGetMigMode
    assert set(nvml().counters("cuda:1")["violations_ns"].values()) == {None}
    assert nvml().snapshot("cuda:1")["mig_mode"] is None


def test_a_card_that_tells_no_reasons_is_not_called_unthrottled(pynvml):
    def refuse(handle):
        raise pynvml.NVMLError_NotSupported("Not Supported")

    pynvml.nvmlDeviceGetCurrentClocksEventReasons = refuse
    snapshot = nvml().snapshot("cuda:1")
    assert (snapshot["clock_event_reasons"], snapshot["throttled"]) == (None, None)


def test_nothing_is_ever_set():
    source = Path(nvml_module.__file__).read_text()
    assert "nvmlDeviceSet" not in source
    assert "nvmlDeviceReset" not in source


def test_a_lost_card_is_an_error_not_a_missing_reading(pynvml):
    def lost(handle):
        raise pynvml.NVMLError_GpuIsLost("GPU is lost")

    pynvml.nvmlDeviceGetPowerUsage = lost
    with pytest.raises(NvmlError, match="GPU is lost"):
        nvml().snapshot("cuda:1")


def test_a_card_that_nvml_does_not_know_is_an_error(pynvml, monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device=None: SimpleNamespace(uuid="MIG-cccc")
    )
    assert device_uuid("cuda:0") == "MIG-cccc"
    with pytest.raises(NvmlError, match="MIG-cccc"):
        nvml().snapshot("cuda:0")


def test_without_the_package_the_error_names_it(monkeypatch):
    nvml.cache_clear()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingPackageError, match="nvidia-ml-py"):
        nvml()


def test_without_a_driver_the_error_says_so(monkeypatch):
    fake = fake_pynvml()

    def no_driver():
        raise fake.NVMLError("NVML Shared Library Not Found")

    fake.nvmlInit = no_driver
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    nvml.cache_clear()
    with pytest.raises(MissingDeviceError, match="Library Not Found"):
        nvml()
