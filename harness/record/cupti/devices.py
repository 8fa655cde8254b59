"""The recorder's own launches, and waiting for the devices of this process."""

from __future__ import annotations

from typing import Any


def probe_tensor() -> Any:
    """What the recorder's own launches fill; allocated before anything is recorded."""
    import torch

    return torch.zeros(1, device="cuda")


def synchronise_devices() -> None:
    """Wait for every device that this process uses, and for no other: that would open it."""
    import torch

    used: Any = torch._C._cuda_hasPrimaryContext  # type: ignore[attr-defined]  # only in CUDA builds
    for device in range(torch.cuda.device_count()):
        if used(device):
            torch.cuda.synchronize(device)
