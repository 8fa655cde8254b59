"""What torch, libcupti and NVML say in this process; each import waits until it is asked for."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.measure.nvml import Nvml
    from harness.record.cupti.binding import Cupti
    from ops.spec import Availability

LAUNCHES = 3
"""Kernels of the live self-test."""


@dataclass(frozen=True)
class TorchFacts:
    """What torch says of itself.

    Attributes:
        version: with its build, such as ``2.11.0+cu130``.
        cuda: the CUDA version it was built for; empty for a build without.
        devices: name and capability of each CUDA device that it sees, as ``NVIDIA H200 (sm_90)``.
        kineto: whether torch.profiler can record.
        complaint: what it warned of while it looked for devices; one line.
    """

    version: str
    cuda: str = ""
    devices: tuple[str, ...] = ()
    kineto: bool = True
    complaint: str = ""


@dataclass(frozen=True)
class Recorded:
    """What the recorder has of `LAUNCHES` kernels.

    Attributes:
        activities: how many it recorded.
        in_region: how many of them it put to the region that was open.
        dropped: records that CUPTI lost; None where it cannot tell.
        incomplete: why the Trace may lack something.
    """

    activities: int
    in_region: int
    dropped: int | None
    incomplete: tuple[str, ...]


@functools.cache  # torch warns of a driver that does not fit once, when it first looks
def torch_facts() -> TorchFacts:
    """Import torch and look for devices; this also maps torch's libcupti."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import torch

        devices = _devices()
    said = [str(one.message) for one in caught if "cuda" in str(one.message).lower()]
    return TorchFacts(
        version=str(torch.__version__),
        cuda=torch.version.cuda or "",
        devices=tuple(devices),
        kineto=bool(torch.profiler.kineto_available()),
        complaint=" ".join(said[0].split()) if said else "",
    )


def _devices() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    torch.cuda.init()
    found = []
    for index in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(index)
        found.append(f"{torch.cuda.get_device_name(index)} (sm_{major}{minor})")
    return found


def profiler_running() -> bool:
    """Whether a torch.profiler is open in this process."""
    from harness.record.state import torch_profiler_running

    return torch_profiler_running()


def driver_cuda() -> str:
    """The newest CUDA version that the driver supports; ``unknown`` without an answer."""
    from harness.record.cupti.library import driver_version

    return driver_version()


def mapped_libcupti() -> list[str]:
    """Paths of all copies of libcupti in this process, once torch is imported."""
    import torch  # noqa: F401  maps the libcupti that it was built with

    from harness.record.cupti.library import mapped_libraries

    return mapped_libraries()


def libcupti() -> Cupti:
    """The libcupti that the recorder would use."""
    from harness.record.cupti.library import load

    return load()


def record_structs() -> Mapping[str, Any]:
    """cupti-python's record layouts by name."""
    from harness.record.cupti.structs import structs

    return structs()


def record_launches() -> Recorded:
    """Record `LAUNCHES` tiny kernels on the current device with the live recorder."""
    import torch

    from harness.record.cupti import CuptiRecorder
    from harness.record.regions import region

    tensor = torch.zeros(256, device="cuda")
    torch.cuda.synchronize()
    with CuptiRecorder().record() as recording, region("doctor"):
        for _ in range(LAUNCHES):
            tensor.add_(1)
    trace = recording.trace
    regions = trace.activities["region"].to_pylist()
    return Recorded(
        activities=len(trace),
        in_region=sum(identifier is not None for identifier in regions),
        dropped=trace.info.dropped_records,
        incomplete=trace.info.incomplete,
    )


def card() -> Nvml:
    """NVML for torch devices."""
    from harness.measure.nvml import nvml

    return nvml()


def operator_names() -> list[str]:
    """Names of all operators of the catalogue."""
    from ops.registry import operators

    return list(operators())


def framework_names() -> list[str]:
    """Names of all framework adapters."""
    from ops import registry

    return registry.framework_names()


def framework(name: str) -> Availability:
    """Whether a framework can build the first operator of the catalogue here."""
    from ops.registry import adapter, operators

    return adapter(name).availability(next(iter(operators().values())))
