"""The tensors that enter and leave a module and its named submodules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor looks like: shape, strides (in elements), dtype, device type."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    device: str

    @classmethod
    def of(cls, tensor: torch.Tensor) -> TensorSpec:
        """Describe a tensor without reading its data."""
        return cls(
            shape=tuple(tensor.shape),
            stride=tuple(tensor.stride()),
            dtype=str(tensor.dtype).removeprefix("torch."),
            device=tensor.device.type,
        )

    def __str__(self) -> str:
        contiguous = _contiguous_stride(self.shape) == self.stride
        layout = "" if contiguous else f" stride {list(self.stride)}"
        return f"{self.dtype}{list(self.shape)}{layout} {self.device}"


@dataclass(frozen=True)
class Flow:
    """One call of one (sub)module.

    Attributes:
        path: dotted path below the compared module; empty for the module itself.
        call: 0 for the first call of this path within the forward, 1 for the second, ...
        tensors: ``in.0``, ``in.hidden_states``, ``out``, ``out.1`` ... -> what it looks like.
    """

    path: str
    call: int
    tensors: Mapping[str, TensorSpec]


def _contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def tensor_specs(value: Any, prefix: str) -> dict[str, TensorSpec]:
    """Every tensor inside nested tuples, lists, dicts, by path; other values are left out."""
    import torch

    if isinstance(value, torch.Tensor):
        return {prefix: TensorSpec.of(value)}
    found: dict[str, TensorSpec] = {}
    items: Any = ()
    if isinstance(value, (tuple, list)):
        items = enumerate(value)
    elif isinstance(value, dict):
        items = value.items()
    for key, item in items:
        found.update(tensor_specs(item, f"{prefix}.{key}"))
    return found


@contextmanager
def record_dataflow(module: torch.nn.Module) -> Iterator[list[Flow]]:
    """Note what enters and leaves ``module`` and each named submodule while the block runs.

    Yields:
        A list that the hooks fill, in the order in which calls end. Hooks are removed on leaving.
    """
    flows: list[Flow] = []
    calls: dict[str, int] = {}
    handles = []

    def hook_for(path: str) -> Any:
        def hook(_module: Any, args: Any, kwargs: Any, output: Any) -> None:
            number = calls.get(path, 0)
            calls[path] = number + 1
            tensors = tensor_specs(args, "in") | tensor_specs(kwargs, "in")
            flows.append(Flow(path, number, tensors | tensor_specs(output, "out")))

        return hook

    try:
        for path, submodule in module.named_modules():
            handles.append(submodule.register_forward_hook(hook_for(path), with_kwargs=True))
        yield flows
    finally:
        for handle in handles:
            handle.remove()
