"""The outputs of named submodules, compared on request: where a difference of outputs begins."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from harness.compare.timing import REFERENCE_CALLS, call_once
from harness.measure.inside import Inside, compare_inside, not_compared
from ops.sides import Side, Sides

if TYPE_CHECKING:
    import torch

Outputs = dict[str, list["torch.Tensor"]]
"""Path of each submodule that was called -> copies of the tensors that its first call returned."""


def compare_submodules(sides: Sides, where: str) -> tuple[tuple[str, Inside], ...]:
    """Run the reference several times and the mock once; compare what their submodules return.

    The tensors of each submodule's first call are copied, so this needs memory for all of them: it
    is made on request only.

    Args:
        sides: of real tensors.
        where: device and sizes, for the reader.

    Returns:
        (path, comparison) for each submodule of either side, in the order of their ends in the
        reference; ``path[1]`` for the second tensor that one returns. What has no partner is not
        compared and says why.
    """
    for side in (sides.mock, sides.reference):
        if side.module is None:
            return (("all", not_compared(f"the {side.label} is no nn.Module", where)),)
    references = [outputs(sides.reference) for _ in range(REFERENCE_CALLS)]
    mock = outputs(sides.mock)
    repeatable = _repeatable(references)
    found: list[tuple[str, Inside]] = []
    for path in [*references[0], *(path for path in mock if path not in references[0])]:
        why = _no_partner(path, sides, mock, references)
        if why:
            found.append((path, not_compared(why, where)))
            continue
        theirs = [one[path] for one in references]
        for number, tensors in enumerate(zip(mock[path], *theirs, strict=True)):
            label = f"{path}[{number}]" if number else path
            found.append((label, compare_inside(tensors[0], tensors[1:], where, repeatable)))
    called = {*mock, *references[0]}
    uncalled = [
        path for path, leaf in _paths(sides.reference).items() if leaf and path not in called
    ]
    return (*found, *((path, not_compared("neither side calls it", where)) for path in uncalled))


def outputs(side: Side) -> Outputs:
    """What the first call of each submodule of a side returns in one forward, copied."""
    assert side.module is not None
    found: Outputs = {}

    def hook_for(path: str) -> Any:
        def hook(_module: Any, args: Any, kwargs: Any, output: Any) -> None:
            if path not in found:
                rows = _leading([*args, *kwargs.values()])
                found[path] = [_written(one, rows).detach().clone() for one in _tensors(output)]

        return hook

    with ExitStack() as stack:
        for path, module in side.module.named_modules():
            if path:
                hook = module.register_forward_hook(hook_for(path), with_kwargs=True)
                stack.callback(hook.remove)
        call_once(side)
    return found


def _no_partner(path: str, sides: Sides, mock: Outputs, references: list[Outputs]) -> str:
    """Why a submodule's outputs have nothing to be compared with; empty when they have."""
    for side, called in ((sides.mock, mock), (sides.reference, references[0])):
        if path not in called:
            there = path in _paths(side)
            return f"the {side.label} {'does not call it' if there else 'has none of this path'}"
    if any(path not in one for one in references):
        return "the reference does not call it in every forward"
    counts = [len(one[path]) for one in (mock, *references)]
    if len(set(counts)) > 1:
        return f"it returns {counts[0]} tensors in the mock and {counts[1]} in the reference"
    return "" if counts[0] else "it returns no tensor"


def _repeatable(references: list[Outputs]) -> bool:
    """Whether every output of the reference is bitwise the same in each call."""
    first, *others = references
    return all(
        other.keys() == first.keys()
        and all(
            _same(one, another)
            for path in first
            for one, another in zip(first[path], other[path], strict=False)
        )
        for other in others
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    if one.is_meta or one.shape != other.shape or one.dtype != other.dtype:
        return False
    ours, theirs = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (one, other))
    return torch.equal(ours, theirs)


def _paths(side: Side) -> dict[str, bool]:
    """Path of each named submodule -> whether it holds no others."""
    assert side.module is not None
    return {path: not [*one.children()] for path, one in side.module.named_modules() if path}


def _leading(arguments: list[Any]) -> int | None:
    """Rows of the first argument that is a tensor of rows: of the tokens, as a rule."""
    shapes = [one.shape for one in _tensors(arguments) if one.dim() > 1]
    return int(shapes[0][0]) if shapes else None


def _written(tensor: torch.Tensor, rows: int | None) -> torch.Tensor:
    """What a call wrote of a tensor. vLLM's indexer returns its whole buffer of indices, of which
    only the rows of the call's tokens are written; the others hold whatever was there."""
    if rows is None or tensor.is_floating_point() or tensor.dim() < 2 or len(tensor) <= rows:
        return tensor
    return tensor[:rows]


def _tensors(value: Any) -> list[torch.Tensor]:
    """Every tensor inside nested tuples, lists and dicts."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (tuple, list, dict)):
        return []
    return [tensor for item in items for tensor in _tensors(item)]
