"""Who wants to know of every benchmark that was taken in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BenchmarkCall:
    """One use of ``benchmark_with_power``, after its timing.

    Attributes:
        kernel_func: what was timed; can be called again.
        device: where.
        arguments: the other arguments, with what None stood for resolved.
        result: what the body of the ``with`` statement will get; ``kernels`` is put into it later.
    """

    kernel_func: Callable[[], Any]
    device: torch.device
    arguments: Mapping[str, Any]
    result: dict[str, Any]


Listener = Callable[[BenchmarkCall], None]

on_benchmark: list[Listener] = []
"""Listeners, outermost first. Only the last is told: a nested session hides the one around it."""


def add_listener(listener: Listener) -> None:
    """Become the innermost listener."""
    on_benchmark.append(listener)


def remove_listener(listener: Listener) -> None:
    """Stop telling ``listener``, where it was added last; unknown ones are ignored."""
    for at in reversed(range(len(on_benchmark))):
        if on_benchmark[at] == listener:
            del on_benchmark[at]
            return


def announce(call: BenchmarkCall) -> None:
    """Tell the innermost listener, if there is one; what it raises reaches the benchmark's user."""
    if on_benchmark:
        on_benchmark[-1](call)
