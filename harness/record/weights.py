"""The weights of each named submodule: shapes, dtypes, and how they are quantised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.record.dataflow import TensorSpec

if TYPE_CHECKING:
    import torch

UNQUANTISED = "none"

NARROW = ("float8", "float4", "int8", "uint8", "int4", "uint4")
"""Beginnings of dtypes that only quantised weights have."""


@dataclass(frozen=True)
class WeightSpecs:
    """The weights that one submodule itself holds.

    Attributes:
        path: dotted path below the compared module; empty for the module itself.
        module: its class.
        tensors: parameters and persistent buffers by name.
        quantisation: class of the framework's method (vLLM, TensorRT-LLM: ``quant_method``), else
            the narrow dtypes; `UNQUANTISED` without either.
    """

    path: str
    module: str
    tensors: Mapping[str, TensorSpec]
    quantisation: str

    @property
    def dtypes(self) -> str:
        """``bfloat16 x2, float8_e4m3fn``."""
        counts = Counter(spec.dtype for spec in self.tensors.values())
        return ", ".join(f"{dtype} x{n}" if n > 1 else dtype for dtype, n in counts.items())


def weight_specs(module: torch.nn.Module) -> tuple[WeightSpecs, ...]:
    """Every submodule that holds weights of its own, in the order of `named_modules`."""
    found = []
    for path, submodule in module.named_modules():
        own: dict[str, torch.Tensor] = dict(submodule.named_parameters(recurse=False))
        own |= dict(submodule.named_buffers(recurse=False))
        if own:
            tensors = {name: TensorSpec.of(tensor) for name, tensor in own.items()}
            name = type(submodule).__name__
            found.append(WeightSpecs(path, name, tensors, _quantisation(submodule, tensors)))
    return tuple(found)


def _quantisation(module: torch.nn.Module, tensors: Mapping[str, TensorSpec]) -> str:
    method = getattr(module, "quant_method", None)
    name = type(method).__name__ if method is not None else ""
    if name and not name.startswith("Unquantized"):
        return name
    narrow = {spec.dtype for spec in tensors.values() if spec.dtype.startswith(NARROW)}
    return ", ".join(sorted(narrow)) or UNQUANTISED
