"""The outputs of named submodules, compared on request: where a difference of outputs begins."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from harness.compare.timing import call_once
from harness.measure.model import Numerics
from harness.measure.numerics import compare_outputs
from ops.sides import Side, Sides

if TYPE_CHECKING:
    import torch


def compare_submodules(sides: Sides, where: str) -> tuple[tuple[str, Numerics], ...]:
    """Run both sides once and compare what their submodules return.

    The first floating tensor of each submodule's first call is copied, so this needs memory for
    all of them: it is made on request only.

    Args:
        sides: of real tensors.
        where: device and sizes, for the reader.

    Returns:
        (path, comparison) for each submodule that both sides call, in the order of their ends;
        nothing where a side is no module.
    """
    if sides.mock.module is None or sides.reference.module is None:
        return ()
    reference, again, mock = (
        outputs(side) for side in (sides.reference, sides.reference, sides.mock)
    )
    return tuple(
        (path, compare_outputs(mock[path], [output, again[path]], where))
        for path, output in reference.items()
        if path and path in mock and path in again
    )


def outputs(side: Side) -> dict[str, torch.Tensor]:
    """Path of each submodule -> a copy of the first floating tensor that its first call returns."""
    assert side.module is not None
    found: dict[str, torch.Tensor] = {}

    def hook_for(path: str) -> Any:
        def hook(_module: Any, _args: Any, output: Any) -> None:
            tensor = _first(output)
            if tensor is not None and path not in found:
                found[path] = tensor.detach().clone()

        return hook

    with ExitStack() as stack:
        for path, module in side.module.named_modules():
            stack.callback(module.register_forward_hook(hook_for(path)).remove)
        call_once(side)
    return found


def _first(output: Any) -> torch.Tensor | None:
    import torch

    items = output if isinstance(output, (tuple, list)) else (output,)
    tensors = (item for item in items if isinstance(item, torch.Tensor))
    return next((tensor for tensor in tensors if tensor.is_floating_point()), None)
