"""What a recorder writes into TraceInfo whatever its source: time and versions."""

from __future__ import annotations

import platform
from datetime import UTC, datetime


def now() -> str:
    """The time in UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def torch_versions() -> dict[str, str]:
    """Versions of Python, torch and the CUDA that torch was built for."""
    import torch

    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found
