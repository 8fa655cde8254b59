"""Both sides of a case once more, in memory of their own, with the weights of the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from harness.errors import InputError
from ops.sides import Side, Sides

if TYPE_CHECKING:
    import torch


def with_another(build: Callable[[], Sides]) -> Sides:
    """Build both sides, and set ``another`` to build them again with the same weights.

    Args:
        build: builds both sides; called once now and once for each further instance.
    """
    first = build()

    def again() -> Sides:
        made = build()
        try:
            for one, other in ((first.mock, made.mock), (first.reference, made.reference)):
                _copy_weights(one, other)
        except BaseException:
            made.close()
            raise
        return made

    first.another = again
    return first


def _copy_weights(source: Side, target: Side) -> None:
    """Copy every weight by name.

    Raises:
        InputError: the two do not have the same weights.
    """
    import torch

    differing = sorted(
        name
        for name in source.weights.keys() | target.weights.keys()
        if _shape(source.weights, name) != _shape(target.weights, name)
    )
    if differing:
        raise InputError(
            f"{', '.join(differing[:3])} of the {source.label} are not built again as they were",
            fix="use --instances 1",
        )
    with torch.inference_mode():  # some frameworks' weights are inference tensors
        for name, tensor in source.weights.items():
            if not tensor.is_meta:
                target.weights[name].copy_(tensor)


def _shape(weights: Mapping[str, torch.Tensor], name: str) -> object:
    tensor = weights.get(name)
    return None if tensor is None else (tensor.shape, tensor.dtype)
