"""Which GPU the DSA kernels of the production frameworks need."""

from __future__ import annotations

from harness.errors import MissingDeviceError

LOWEST_CAPABILITY = (9, 0)
"""DSA runs DeepGEMM and FlashMLA kernels, which exist from sm_90 on."""

FIX = "run on a machine with an NVIDIA Hopper or Blackwell GPU (sm_90 or newer)"
ELSEWHERE = "--framework transformers runs without a GPU"


def device_problem(device: str = "cuda") -> str:
    """Why a CUDA device (``cuda`` is the current one) cannot run the kernels; empty when it can."""
    import torch

    if not torch.cuda.is_available():
        return "there is no CUDA device"
    index = torch.device(device).index
    if index is not None and index >= torch.cuda.device_count():
        return f"there is no {device}"
    found = torch.cuda.get_device_capability(device)
    if found < LOWEST_CAPABILITY:
        return f"the device is sm_{found[0]}{found[1]} and its kernels need sm_90 or newer"
    return ""


def require_device(framework: str, device: str) -> None:
    """Refuse a device that the kernels cannot run on.

    Args:
        framework: as a message names it ("vllm").
        device: as in `ops.spec.FrameworkAdapter.build`.

    Raises:
        MissingDeviceError: it is not a CUDA device, is not there, or is too old.
    """
    problem = "" if device.startswith("cuda") else f"{framework} cannot run on {device!r}"
    problem = problem or device_problem(device)
    if problem:
        raise MissingDeviceError(problem, fix=f"{FIX}; {ELSEWHERE}")
