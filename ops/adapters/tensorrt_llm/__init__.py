"""Adapter for TensorRT-LLM: the production operator of the 1.2 and 1.3 releases.

The package is not on PyPI (only stubs are), so this is written against the public source and the
collectors that use it, and asks the installed release for names and signatures (`probing`).
Nothing of TensorRT-LLM is imported before `TensorrtLlmAdapter.build`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from harness.errors import MissingPackageError
from ops.adapters import gpu
from ops.adapters.tensorrt_llm import probing
from ops.case import Case
from ops.sides import Sides
from ops.spec import Availability, Differences, OpSpec

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
        problem = gpu.device_problem()
        if problem:
            what = f"tensorrt_llm {found} is installed, but {problem}"
            return Availability(False, what, gpu.FIX)
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
        gpu.require_device(f"tensorrt_llm {found}", device)
        from ops.adapters.tensorrt_llm.build import build_sides

        return build_sides(probing.Api(found), op, case, device, differences)
