"""The real call of a module inside whatever runs it: every argument, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.record.described import describe

if TYPE_CHECKING:
    import torch

METADATA = "<metadata>"
"""Argument name of what a call reads beside its arguments (a forward context)."""

MODULE = "<module>"
"""Path by which the module's own class is named among what differs."""


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module.

    Attributes:
        module: its class.
        arguments: name -> `harness.record.described.describe` of the value, defaults included;
            what the signature has no name for is ``args.0``.
        own_fields: patterns of the fields that are bookkeeping of this side (`ops.sides.Side`).
    """

    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    own_fields: tuple[str, ...] = ()


def _nothing() -> Mapping[str, Any]:
    return {}


@contextmanager
def record_calls(
    module: torch.nn.Module,
    metadata: Callable[[], Mapping[str, Any]] = _nothing,
    own_fields: tuple[str, ...] = (),
) -> Iterator[list[ModuleCall]]:
    """Note every call of ``module`` while the block runs.

    Args:
        module: called as a module (not by its ``forward``).
        metadata: asked at each call for what it reads beside its arguments.
        own_fields: kept with each call.

    Yields:
        A list that the hook fills. The hook is removed on leaving.
    """
    calls: list[ModuleCall] = []

    def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = dict(named_arguments(module.forward, args, kwargs))
        beside = metadata()
        if beside:
            named[METADATA] = beside
        arguments = {name: describe(value, name) for name, value in named.items()}
        calls.append(ModuleCall(type(module).__name__, arguments, own_fields))

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def named_arguments(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Arguments by the names of the signature, so that position and keyword are the same.

    Arguments that do not fit the signature keep their position (``args.0``) or keyword.
    """
    numbered = {f"args.{at}": value for at, value in enumerate(args)}
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return numbered | dict(kwargs)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, parameter in bound.signature.parameters.items():
        value = bound.arguments[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= value
        elif parameter.kind is parameter.VAR_POSITIONAL:
            found |= {f"{name}.{at}": item for at, item in enumerate(value)}
        else:
            found[name] = value
    return found
