"""What goes into a call of a module and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.errors import InputError

if TYPE_CHECKING:
    import torch


class Arguments:
    """The arguments of a module's call, as `noted` saw them.

    Attributes:
        args, kwargs: as the caller gave them; tensors are the very same objects.
    """

    def __init__(self) -> None:
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}

    def hidden_states(self, position: int) -> torch.Tensor:
        """The argument named ``hidden_states``, or the one at ``position`` if it has no name."""
        named = self.kwargs.get("hidden_states")
        found: torch.Tensor = self.args[position] if named is None else named
        return found


@contextmanager
def noted(module: torch.nn.Module) -> Iterator[Arguments]:
    """Note the arguments of the module's (last) call while the block runs.

    Raises:
        InputError: when the block ends, the module was not called through its hooks.
    """
    arguments = Arguments()
    called = False

    def hook(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal called
        called = True
        arguments.args, arguments.kwargs = args, kwargs

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield arguments
    finally:
        handle.remove()
    if not called:
        raise InputError(
            f"the running layer did not call {type(module).__name__} as a module",
            fix="report it with the version of the framework; the layer was changed",
        )


def output_of(result: Any) -> Any:
    """The first of several results (attention output, hidden states), or the only one."""
    return result[0] if isinstance(result, (tuple, list)) else result
