"""Regions around a module's forward, by hooks that are gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.record.regions import region

if TYPE_CHECKING:
    import torch


@contextmanager
def module_region(module: torch.nn.Module, name: str) -> Iterator[None]:
    """Put every forward of ``module`` into a region of this name while the block runs.

    The region is closed also when the forward raises.
    """
    opened: list[region] = []

    def enter(_module: Any, _args: Any) -> None:
        opened.append(region(name))
        opened[-1].__enter__()

    def leave(_module: Any, _args: Any, _output: Any) -> None:
        opened.pop().__exit__(None, None, None)

    handles = [
        module.register_forward_pre_hook(enter, prepend=True),
        module.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
