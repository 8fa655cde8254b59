"""Variables of the environment that make a measurement something else than it seems."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.doctor.machine import Machine
from harness.doctor.model import Outcome, ok, warning


def _on(value: str) -> bool:
    return value.strip().lower() not in ("", "0", "false", "off", "no")


def _given(value: str) -> bool:
    return bool(value)


class Setting(NamedTuple):
    """A variable, the values that distort, and what they do."""

    name: str
    distorts: Callable[[str], bool]
    effect: str


SETTINGS = (
    Setting("CUDA_LAUNCH_BLOCKING", _on, "every launch waits for its kernel"),
    Setting("CUDA_DEVICE_MAX_CONNECTIONS", "1".__eq__, "streams share one hardware queue"),
    Setting("CUDA_FORCE_PTX_JIT", _on, "the driver compiles kernels anew instead of those shipped"),
    Setting("NVIDIA_TF32_OVERRIDE", _given, "the libraries use TF32 otherwise than asked"),
    Setting("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", _on, "cuBLAS uses TF32 unasked"),
    Setting("CUBLAS_WORKSPACE_CONFIG", _given, "cuBLAS may choose other kernels"),
    Setting("PYTORCH_NO_CUDA_MEMORY_CACHING", _given, "each tensor is allocated by the driver"),
    Setting("PYTORCH_CUDA_ALLOC_CONF", lambda value: "cudaMallocAsync" in value,
            "allocations become work on the stream"),
    Setting("PYTORCH_ALLOC_CONF", lambda value: "cudaMallocAsync" in value,
            "allocations become work on the stream"),
    Setting("TORCHDYNAMO_DISABLE", _on, "torch.compile does nothing"),
    Setting("TORCH_COMPILE_DISABLE", _on, "torch.compile does nothing"),
    Setting("TRITON_INTERPRET", _on, "Triton kernels are interpreted on the CPU"),
)  # fmt: skip


def distorting(machine: Machine) -> Outcome:
    """Variables that change which kernels run or how long they take."""
    found = [
        setting for setting in SETTINGS if setting.distorts(machine.environ.get(setting.name, ""))
    ]
    if not found:
        return ok("no variable is set that distorts measurements")
    said = "; ".join(f"{one.name}={machine.environ[one.name]}: {one.effect}" for one in found)
    names = " ".join(one.name for one in found)
    return warning(said, f"unset {names}, unless serving runs with it too")


def teardown(machine: Machine) -> Outcome:
    """What torch.profiler does with CUPTI when it stops."""
    value = machine.environ.get("TEARDOWN_CUPTI", "")
    if not _on(value):
        return ok("not set: after it has stopped, torch.profiler goes on holding CUPTI")
    return warning(
        f"TEARDOWN_CUPTI={value}: torch.profiler ends CUPTI for the whole process when it stops, "
        "and with CUDA graphs its next start can crash",
        "unset TEARDOWN_CUPTI, unless torch.profiler and a recorder take turns in one process",
    )
