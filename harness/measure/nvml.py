"""The card's own readings; the only file that imports ``pynvml``. Reads, never sets."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, MissingDeviceError, MissingPackageError
from harness.measure.nvml_names import (
    ABSENT_FIELD,
    ECC_COUNTERS,
    ECC_VOLATILE,
    POWER_INSTANT_FIELD,
    THROTTLING,
    VIOLATION_POLICIES,
    VIRTUALISATION,
    reason_names,
)

if TYPE_CHECKING:
    import torch


class NvmlError(HarnessError):
    """NVML answered with an error that is not "not supported" (exit code 2)."""


class Nvml:
    """NVML for torch devices. Get it with ``nvml()``.

    Handles are found by UUID: torch's indices follow CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER,
    NVML's follow neither. Every method takes a torch device, its name or index, an NVML UUID, or
    None for the current one. Readings that a card or its driver does not offer are None.
    """

    def __init__(self, package: Any) -> None:
        self._nvml = package
        self._handles: dict[str, Any] = {}

    def snapshot(self, device: torch.device | str | int | None = None) -> dict[str, Any]:
        """Clocks in MHz, temperature in degrees Celsius, power in W, modes, and who slows the card
        down.

        ``power_draw_w`` is what the driver has averaged over about a second. ``process_ids`` are
        the other processes that compute on the card. ``mig`` says whether the device is a slice,
        ``mig_mode`` whether its card is cut into slices; of a slice the readings that NVML keeps
        per card only are None.

        Raises:
            NvmlError: the card cannot be found or read.
        """
        nvml, handle = self._nvml, self._handle(device)
        # Clocks first: they show the load that the caller keeps up for some milliseconds only.
        sm_clock = self._read("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_SM)
        reasons = self._read("nvmlDeviceGetCurrentClocksEventReasons", handle)
        memory_clock = self._read("nvmlDeviceGetClockInfo", handle, nvml.NVML_CLOCK_MEM)
        names = None if reasons is None else reason_names(reasons)
        processes = self._read("nvmlDeviceGetComputeRunningProcesses", handle)
        uuid, sensor = device_uuid(device), nvml.NVML_TEMPERATURE_GPU
        return {
            "uuid": uuid,
            "sm_clock_mhz": sm_clock,
            "memory_clock_mhz": memory_clock,
            "temperature_c": self._read("nvmlDeviceGetTemperature", handle, sensor),
            "power_limit_w": self.power_limit_w(device),
            "power_draw_w": self.average_power_w(device),
            "clock_event_reasons": names,
            "throttled": None if names is None else not THROTTLING.isdisjoint(names),
            "persistence": _flag(self._read("nvmlDeviceGetPersistenceMode", handle)),
            "processes": None if processes is None else len(processes),
            "process_ids": _others(processes),
            "driver": self._read("nvmlSystemGetDriverVersion"),
            "mig": uuid.startswith("MIG-"),
            "mig_mode": _flag(_first(self._read("nvmlDeviceGetMigMode", handle))),
            "ecc": _flag(_first(self._read("nvmlDeviceGetEccMode", handle))),
        }

    def counters(self, device: torch.device | str | int | None = None) -> dict[str, Any]:
        """What only grows, so that the difference of two readings covers the time between them.

        ``violations_ns``: nanoseconds that each of `VIOLATION_POLICIES` held the clock down (moves
        about every 100 ms). ``ecc_errors``: corrected and uncorrected memory errors since the
        driver was loaded.

        Raises:
            NvmlError: the card cannot be found or read.
        """
        handle = self._handle(device)
        spent = {
            name: self._read("nvmlDeviceGetViolationStatus", handle, policy)
            for policy, name in VIOLATION_POLICIES.items()
        }
        return {
            "violations_ns": {
                name: None if time is None else int(time.violationTime)
                for name, time in spent.items()
            },
            "ecc_errors": {
                name: self._read("nvmlDeviceGetTotalEccErrors", handle, kind, ECC_VOLATILE)
                for name, kind in ECC_COUNTERS.items()
            },
        }

    def energy_mj(self, device: torch.device | str | int | None = None) -> int | None:
        """The card's energy counter in millijoules since the driver was loaded; None without one.

        It moves about every 100 ms (facts/cupti.md).
        """
        energy = self._read("nvmlDeviceGetTotalEnergyConsumption", self._handle(device))
        return None if energy is None else int(energy)

    def instant_power_w(self, device: torch.device | str | int | None = None) -> float | None:
        """Power now, in W (POWER_INSTANT; moves about every 100 ms); None where it is not told.

        Raises:
            NvmlError: the card cannot be found or read.
        """
        fields = self._read("nvmlDeviceGetFieldValues", self._handle(device), [POWER_INSTANT_FIELD])
        if fields is None or fields[0].nvmlReturn in ABSENT_FIELD:
            return None
        if fields[0].nvmlReturn != 0:
            raise NvmlError(f"POWER_INSTANT failed: {fields[0].nvmlReturn}", fix=_ASK_SMI)
        return float(fields[0].value.uiVal) / 1000

    def average_power_w(self, device: torch.device | str | int | None = None) -> float | None:
        """Power as the driver has averaged it over about a second, in W (PowerUsage)."""
        return _watts(self._read("nvmlDeviceGetPowerUsage", self._handle(device)))

    def power_limit_w(self, device: torch.device | str | int | None = None) -> float | None:
        """The limit that is in force, in W."""
        return _watts(self._read("nvmlDeviceGetEnforcedPowerLimit", self._handle(device)))

    def sharing(self, device: torch.device | str | int | None = None) -> dict[str, Any]:
        """Who else may use the card: ``mig``, ``virtualisation`` (a value of `VIRTUALISATION`) and
        ``other_processes``, how many compute on it besides this one.

        Raises:
            NvmlError: the card cannot be found or read.
        """
        handle = self._handle(device)
        slice_ = device_uuid(device).startswith("MIG-")
        mode = None if slice_ else self._read("nvmlDeviceGetVirtualizationMode", handle)
        others = _others(self._read("nvmlDeviceGetComputeRunningProcesses", handle))
        return {
            "mig": slice_,
            "virtualisation": None if mode is None else VIRTUALISATION.get(mode, str(mode)),
            "other_processes": None if others is None else len(others),
        }

    def _handle(self, device: torch.device | str | int | None) -> Any:
        uuid = device_uuid(device)
        if uuid not in self._handles:
            try:
                self._handles[uuid] = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
            except self._nvml.NVMLError as error:
                raise NvmlError(f"NVML does not know {uuid}: {error}", fix=_ASK_SMI) from error
        return self._handles[uuid]

    def _read(self, name: str, *args: Any) -> Any:
        nvml = self._nvml
        query = getattr(nvml, name, None)
        if query is None:  # an nvidia-ml-py that is older than the function
            return None
        try:
            return query(*args)
        except (
            nvml.NVMLError_NotSupported,
            nvml.NVMLError_NoPermission,
            nvml.NVMLError_FunctionNotFound,
        ):
            return None
        except nvml.NVMLError as error:
            raise NvmlError(f"{name} failed: {error}", fix=_ASK_SMI) from error


_ASK_SMI = "check that `nvidia-smi -L` lists the card"


@functools.cache
def nvml() -> Nvml:
    """NVML, initialised once per process; it is never shut down, since handles are shared.

    Raises:
        MissingPackageError: nvidia-ml-py is not installed.
        MissingDeviceError: there is no NVIDIA driver.
    """
    try:
        import pynvml
    except ImportError as error:
        raise MissingPackageError(
            "the card's state needs the package nvidia-ml-py", fix="pip install 'nvidia-ml-py>=12'"
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise MissingDeviceError(
            f"NVML does not start: {error}", fix="run on a machine with an NVIDIA driver"
        ) from error
    return Nvml(pynvml)


def device_uuid(device: torch.device | str | int | None) -> str:
    """UUID of a torch device as NVML writes it: ``GPU-...``, or ``MIG-...`` for a MIG slice.

    A UUID is returned as it is, without torch.
    """
    if isinstance(device, str) and device.startswith(("GPU-", "MIG-")):
        return device
    import torch

    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _first(pair: Any) -> Any:
    """The current one of (current, pending)."""
    return None if pair is None else pair[0]


def _others(processes: list[Any] | None) -> list[int] | None:
    if processes is None:
        return None
    return sorted(process.pid for process in processes if process.pid != os.getpid())
