"""Adapter for vLLM 0.26: the real DSA layer inside vLLM's own model runner."""

from __future__ import annotations

from harness.errors import InputError, MissingPackageError
from ops.adapters import gpu
from ops.adapters.vllm import packages
from ops.adapters.vllm.reference import NOTES, ReferenceKind
from ops.case import Case
from ops.sides import Sides
from ops.spec import Availability, Differences, OpSpec


class VllmAdapter:
    """Builds both sides from vLLM's model classes.

    Args:
        reference: ``runner`` drives the model with vLLM's own ``GPUModelRunner``; ``layer``
            builds a decoder layer and makes its metadata here. The notes say which it was.
    """

    name = "vllm"

    def __init__(self, reference: ReferenceKind = "runner") -> None:
        if reference not in NOTES:
            raise InputError(
                f"unknown vLLM reference {reference!r}", fix=f"use one of {', '.join(NOTES)}"
            )
        self.reference: ReferenceKind = reference

    def availability(self, op: OpSpec) -> Availability:
        """Whether vLLM is installed, of the right release, with a GPU that its kernels run on."""
        try:
            found = packages.vllm_version()
        except MissingPackageError as error:
            return Availability(False, error.what, error.fix, missing_package=True)
        if found != "unknown" and not found.startswith(f"{packages.RELEASE}."):
            what = f"vllm {found} is not {packages.RELEASE}, whose internals are driven"
            return Availability(False, what, f"run {packages.PIP}", missing_package=True)
        if op.mock == "kernels" and not packages.installed("trtllm_kernel"):
            what = "trtllm_kernel is not installed"
            return Availability(False, what, f"run {packages.PIP_TRTLLM_KERNEL}", True)
        problem = gpu.device_problem()
        if problem:
            return Availability(False, problem, gpu.FIX)
        return Availability(True, f"vllm {found}")

    def versions(self) -> dict[str, str]:
        """Versions of vLLM and of what its kernels come from."""
        found = {"vllm": packages.vllm_version()}
        parts = {"deep_gemm": "vllm/third_party", "trtllm_kernel": "absent"}
        for package, otherwise in parts.items():
            found[package] = packages.distribution_version(package) or otherwise
        return found

    def build(
        self, op: OpSpec, case: Case, device: str, differences: Differences = Differences()
    ) -> Sides:
        """Build both sides on ``device``; see `ops.spec.FrameworkAdapter.build`."""
        from ops.adapters.again import with_another
        from ops.adapters.vllm import build

        build.check_case(case)
        gpu.require_device("vllm", device)
        packages.require_vllm()
        import torch

        where = torch.device(device if ":" in device else f"cuda:{torch.cuda.current_device()}")
        torch.cuda.set_device(where)
        return with_another(lambda: build.build_sides(op, case, where, differences, self.reference))
