"""Adapter for TensorRT-LLM: the production operator of the 1.2 and 1.3 releases.

The package is not on PyPI (only stubs are), so this is written against the public source and the
collectors that use it, and asks the installed release for names and signatures (`probing`).
Nothing of TensorRT-LLM is imported before `TensorrtLlmAdapter.build`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from harness.errors import MissingDeviceError, MissingPackageError
from ops.adapters.tensorrt_llm import probing
from ops.case import Case
from ops.sides import Sides
from ops.spec import Availability, Differences, OpSpec

LOWEST_CAPABILITY = (9, 0)
"""DSA runs DeepGEMM and FlashMLA kernels, which exist from sm_90 on."""

KERNEL_PACKAGES = ("flashinfer-python", "nvidia-cutlass-dsl", "tensorrt", "transformers")
"""Distributions that steer which kernels TensorRT-LLM runs, besides those it bundles."""


class TensorrtLlmAdapter:
    """Builds both sides from TensorRT-LLM's own modeling code."""

    name = "tensorrt_llm"

    def availability(self, op: OpSpec) -> Availability:
        """Whether a supported release is installed and the device is sm_90 or newer."""
        try:
            found = probing.installed_version()
        except MissingPackageError as error:
            return Availability(False, error.what, error.fix, missing_package=True)
        problem = _device_problem()
        if problem:
            return Availability(
                False,
                f"tensorrt_llm {found} is installed, but {problem}",
                "run on a machine with an NVIDIA Hopper or Blackwell GPU",
            )
        return Availability(True, f"tensorrt_llm {found}")

    def versions(self) -> dict[str, str]:
        """Versions of TensorRT-LLM and of the installed packages it takes kernels from.

        Raises:
            MissingPackageError: TensorRT-LLM is absent, a stub, too old or too new.
        """
        found = {"tensorrt_llm": probing.installed_version()}
        for package in KERNEL_PACKAGES:
            try:
                found[package] = version(package)
            except PackageNotFoundError:
                continue
        return found

    def build(
        self, op: OpSpec, case: Case, device: str, differences: Differences = Differences()
    ) -> Sides:
        """Build both sides on ``device``; see `ops.spec.FrameworkAdapter.build`."""
        found = probing.installed_version()
        if not device.startswith("cuda"):
            raise MissingDeviceError(
                f"tensorrt_llm {found} cannot run on {device!r}", fix="use --device cuda"
            )
        problem = _device_problem(device)
        if problem:
            raise MissingDeviceError(problem, fix="run on an NVIDIA Hopper or Blackwell GPU")
        from ops.adapters.tensorrt_llm.build import build_sides

        return build_sides(probing.Api(found), op, case, device, differences)


def _device_problem(device: str | None = None) -> str:
    """Why the (current) CUDA device cannot run the operator; empty when it can."""
    import torch

    if not torch.cuda.is_available():
        return "there is no CUDA device"
    index = torch.device(device or "cuda").index
    if index is not None and index >= torch.cuda.device_count():
        return f"there is no {device}"
    found = torch.cuda.get_device_capability(device)
    if found < LOWEST_CAPABILITY:
        return f"the device is sm_{found[0]}{found[1]} and its kernels need sm_90 or newer"
    return ""
