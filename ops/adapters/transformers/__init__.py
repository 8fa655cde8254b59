"""Adapter for Hugging Face transformers: the real decoder layer of the real model class.

Its attention has the structure of the production operator but not its kernels (dense masks,
fp32 scores), and it runs anywhere: on CUDA, on the CPU, and at full size on the meta device.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from harness.errors import InputError, MissingPackageError
from ops.case import Case
from ops.sides import Sides
from ops.spec import Availability, Differences, OpSpec

MINIMUM = (5, 17)
PIP = "pip install 'transformers>=5.17,<6'"
RECIPE = ("model_type", "config", "attention", "rotary")
"""What an operator's ``recipes["transformers"]`` names: the model and three of its classes."""


class TransformersAdapter:
    """Builds both sides from transformers' model classes."""

    name = "transformers"

    def availability(self, op: OpSpec) -> Availability:
        """Whether ``op`` has a recipe and transformers is installed, new enough, with the model."""
        recipe = op.recipes.get(self.name, {})
        absent = [key for key in RECIPE if key not in recipe]
        if absent:
            return Availability(
                False,
                f"the operator {op.name} does not say how transformers builds it "
                f"(recipes['transformers'] has no {', '.join(absent)})",
                "add them to its OpSpec, or choose another --framework",
            )
        if importlib.util.find_spec("transformers") is None:
            return Availability(
                False, "transformers is not installed", f"run {PIP}", missing_package=True
            )
        found = self.versions()["transformers"]
        if tuple(int(part) for part in found.split(".")[:2]) < MINIMUM:
            return Availability(
                False,
                f"transformers {found} is older than {'.'.join(map(str, MINIMUM))}",
                f"run {PIP}",
                missing_package=True,
            )
        model_type = recipe["model_type"]
        if importlib.util.find_spec(f"transformers.models.{model_type}") is None:
            return Availability(
                False, f"transformers {found} has no {model_type}", f"run {PIP}", True
            )
        return Availability(True, f"transformers {found}")

    def versions(self) -> dict[str, str]:
        """Version of transformers; its kernels are torch's."""
        try:
            return {"transformers": version("transformers")}
        except PackageNotFoundError as error:
            raise MissingPackageError("transformers is not installed", fix=f"run {PIP}") from error

    def build(
        self, op: OpSpec, case: Case, device: str, differences: Differences = Differences()
    ) -> Sides:
        """Build both sides on ``device``; see `ops.spec.FrameworkAdapter.build`."""
        from ops.adapters.again import with_another
        from ops.adapters.transformers.build import build_sides

        state = self.availability(op)
        if not state.ok:
            kind = MissingPackageError if state.missing_package else InputError
            raise kind(state.reason, fix=state.fix)
        recipe: dict[str, Any] = dict(op.recipes[self.name])
        return with_another(lambda: build_sides(op, recipe, case, device, differences))
