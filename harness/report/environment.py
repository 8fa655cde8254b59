"""Where a result was made: versions, GPU, command, variables. No absolute path, no user name."""

from __future__ import annotations

import os
import platform
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.report.private import without_paths

PACKAGES = (
    "operator-alignment-harness",
    "torch",
    "transformers",
    "vllm",
    "tensorrt_llm",
    "triton",
    "numpy",
    "pyarrow",
    "cupti-python",
    "nvtx",
    "nvidia-ml-py",
)
"""Packages whose version can change which kernels run or how they are recorded."""

STEERING_NAMES = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "CUDA_LAUNCH_BLOCKING",
        "CUDA_MODULE_LOADING",
        "CUDA_DEVICE_ORDER",
        "CUDA_DEVICE_MAX_CONNECTIONS",
        "NVIDIA_TF32_OVERRIDE",
    }
)
STEERING_PREFIXES = (
    "CUBLAS",
    "CUDNN_",
    "TORCH",
    "PYTORCH_",
    "VLLM_",
    "TRTLLM_",
    "TLLM_",
    "FLASHINFER_",
    "NCCL_",
    "TRITON_",
    "COLLECTOR_",
)
"""Only variables named here are recorded: others do not steer dispatch and may be private."""

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_DRIVER_FILE = Path("/proc/driver/nvidia/version")


def environment(argv: Sequence[str]) -> dict[str, Any]:
    """What the evidence says about machine and process, as plain JSON values.

    Args:
        argv: the command line, as ``sys.argv``.

    Returns:
        ``created`` (UTC, ISO 8601), ``command``, ``python``, ``platform``, ``versions``, ``gpu``
        (empty without CUDA) and ``variables``. Absolute paths are reduced to ``.../last``.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(argv),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions(),
        "gpu": gpu(),
        "variables": steering_variables(os.environ),
    }


def command_line(argv: Sequence[str]) -> str:
    """A command line that can be read and typed again, without machine paths."""
    if not argv:
        return ""
    program = Path(argv[0])
    parts = program.parts
    if program.name == "__main__.py":  # python -m package
        first = len(parts) - 1 - parts[::-1].index("harness") if "harness" in parts else -2
        start = ["python", "-m", ".".join(parts[first:-1])]
    else:
        start = [program.name]
    return shlex.join([*start, *(without_paths(argument) for argument in argv[1:])])


def versions() -> dict[str, str]:
    """Installed versions by package; packages that are absent are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    found.setdefault(PACKAGES[0], _checkout_version())
    import torch

    found["torch"] = str(torch.__version__)  # with its build, such as +cu130
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
    return found


def _checkout_version() -> str:
    """This package's version where it runs from a checkout that is not installed."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    try:
        return str(tomllib.loads(project.read_text())["project"]["version"]) + " (checkout)"
    except (OSError, ValueError, KeyError):
        return "unknown"


def gpu() -> dict[str, Any]:
    """The current CUDA device as torch sees it, and the driver; empty without CUDA."""
    import torch

    if not torch.cuda.is_available():
        return {}
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    found = {
        "name": device.name,
        "capability": f"{device.major}.{device.minor}",
        "uuid": str(getattr(device, "uuid", "")),
        "memory_bytes": device.total_memory,
        "multiprocessors": device.multi_processor_count,
        "driver": _driver(),
    }
    return {name: value for name, value in found.items() if value}


def _driver() -> str:
    try:
        text = _DRIVER_FILE.read_text()
    except OSError:  # a container without it: the device's Trace names the driver as well
        return ""
    found = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", text)
    return found[0] if found else ""


def steering_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that steer which kernels run, sorted; secrets without their value."""
    found = {}
    for name in sorted(variables):
        if name in STEERING_NAMES or name.startswith(STEERING_PREFIXES):
            secret = _SECRET.search(name)
            found[name] = "(set, not recorded)" if secret else without_paths(variables[name])
    return found
