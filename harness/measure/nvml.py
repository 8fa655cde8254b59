"""The card's own readings; the only file that imports ``pynvml``. Reads, never sets."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, MissingDeviceError, MissingPackageError

if TYPE_CHECKING:
    import torch

CLOCK_EVENT_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal",
    0x040: "hw_thermal",
    0x080: "hw_power_brake",
    0x100: "display_clocks",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReasons)."""

THROTTLING = frozenset({"hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake"})
"""Reasons that spoil a measurement. The software power cap is not one: a heavy operator meets it
by design, in serving too."""

VIRTUALISATION = {0: "none", 1: "passthrough", 2: "vgpu", 3: "host_vgpu", 4: "host_vsga"}
"""nvmlGpuVirtualizationMode_t; a card that is passed through belongs to its machine alone."""


class NvmlError(HarnessError):
    """NVML answered with an error that is not "not supported" (exit code 2)."""


class Nvml:
    """NVML for torch devices. Get it with ``nvml()``.

    Handles are found by UUID: torch's indices follow CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER,
    NVML's follow neither. Every method takes a torch device, its name or index, or None for the
    current one. Readings that a card does not offer are None.
    """

    def __init__(self, package: Any) -> None:
        self._nvml = package
        self._handles: dict[str, Any] = {}

    def snapshot(self, device: torch.device | str | int | None = None) -> dict[str, Any]:
        """Clocks in MHz, temperature in degrees Celsius, power in W, and who slows the card down.

        ``power_draw_w`` is what the driver has averaged over about a second. On a MIG device
        the readings that NVML keeps per card only are None, and ``mig`` is True.

        Raises:
            NvmlError: the card cannot be found or read.
        """
        nvml, handle = self._nvml, self._handle(device)
        reasons = self._read(nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        names = reason_names(reasons or 0)
        return {
            "uuid": device_uuid(device),
            "sm_clock_mhz": self._read(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": self._read(
                nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM
            ),
            "temperature_c": self._read(
                nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
            ),
            "power_limit_w": _watts(self._read(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
            "power_draw_w": _watts(self._read(nvml.nvmlDeviceGetPowerUsage, handle)),
            "clock_event_reasons": names if reasons is not None else None,
            "throttled": not THROTTLING.isdisjoint(names),
            "persistence": _flag(self._read(nvml.nvmlDeviceGetPersistenceMode, handle)),
            "processes": _count(self._read(nvml.nvmlDeviceGetComputeRunningProcesses, handle)),
            "driver": self._read(nvml.nvmlSystemGetDriverVersion),
            "mig": device_uuid(device).startswith("MIG-"),
        }

    def energy_mj(self, device: torch.device | str | int | None = None) -> int | None:
        """The card's energy counter in millijoules since the driver was loaded; None without one.

        It moves about every 100 ms (facts/cupti.md).
        """
        energy = self._read(self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._handle(device))
        return None if energy is None else int(energy)

    def power_limit_w(self, device: torch.device | str | int | None = None) -> float | None:
        """The limit that is in force, in W."""
        return _watts(self._read(self._nvml.nvmlDeviceGetEnforcedPowerLimit, self._handle(device)))

    def sharing(self, device: torch.device | str | int | None = None) -> dict[str, Any]:
        """Who else may use the card: ``mig``, ``virtualisation`` (a value of `VIRTUALISATION`) and
        ``other_processes``, how many compute on it besides this one.

        Raises:
            NvmlError: the card cannot be found or read.
        """
        nvml, handle = self._nvml, self._handle(device)
        slice_ = device_uuid(device).startswith("MIG-")
        mode = None if slice_ else self._read(nvml.nvmlDeviceGetVirtualizationMode, handle)
        processes = self._read(nvml.nvmlDeviceGetComputeRunningProcesses, handle)
        others = [one for one in processes or () if one.pid != os.getpid()]
        return {
            "mig": slice_,
            "virtualisation": None if mode is None else VIRTUALISATION.get(mode, str(mode)),
            "other_processes": _count(None if processes is None else others),
        }

    def _handle(self, device: torch.device | str | int | None) -> Any:
        uuid = device_uuid(device)
        if uuid not in self._handles:
            try:
                self._handles[uuid] = self._nvml.nvmlDeviceGetHandleByUUID(uuid)
            except self._nvml.NVMLError as error:
                raise NvmlError(f"NVML does not know {uuid}: {error}", fix=_ASK_SMI) from error
        return self._handles[uuid]

    def _read(self, query: Callable[..., Any], *args: Any) -> Any:
        nvml = self._nvml
        absent = (nvml.NVMLError_NotSupported, nvml.NVMLError_NoPermission)
        try:
            return query(*args)
        except (*absent, nvml.NVMLError_FunctionNotFound):
            return None
        except nvml.NVMLError as error:
            raise NvmlError(f"{query.__name__} failed: {error}", fix=_ASK_SMI) from error


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
    """UUID of a torch device as NVML writes it: ``GPU-...``, or ``MIG-...`` for a MIG slice."""
    import torch

    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"


def reason_names(bits: int) -> list[str]:
    """Names of the clock event reasons that are set; unknown bits in hexadecimal."""
    names = [name for bit, name in CLOCK_EVENT_REASONS.items() if bits & bit]
    unknown = bits & ~sum(CLOCK_EVENT_REASONS)
    return [*names, f"{unknown:#x}"] if unknown else names


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _count(processes: list[Any] | None) -> int | None:
    return None if processes is None else len(processes)
