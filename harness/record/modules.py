"""Regions around the forwards of modules, by hooks that are gone afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.record.regions import region

if TYPE_CHECKING:
    import torch


@contextmanager
def module_regions(model: torch.nn.Module, patterns: Sequence[str]) -> Iterator[list[str]]:
    """Put every forward of the matching submodules into a region while the block runs.

    Args:
        model: the root of the paths.
        patterns: shell patterns of module paths, as `torch.nn.Module.named_modules` gives them
            (``layers.*.self_attn``); ``*`` also matches dots.

    Yields:
        The paths that matched, which are the names of the regions, in the order of the model.

    Raises:
        InputError: a pattern matches no submodule.
    """
    paths = [path for path, _ in model.named_modules() if path]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            known = ", ".join(paths[:5]) + (", ..." if len(paths) > 5 else "")
            raise InputError(
                f"no submodule of {type(model).__name__} matches {pattern!r}",
                fix=f"use patterns of paths such as {known or '(it has no submodules)'}",
            )
    wanted = [path for path in paths if any(fnmatchcase(path, each) for each in patterns)]
    with ExitStack() as stack:
        for path in wanted:
            stack.enter_context(module_region(model.get_submodule(path), path))
        yield wanted


@contextmanager
def module_region(module: torch.nn.Module, name: str) -> Iterator[None]:
    """Put every forward of ``module`` into a region of this name while the block runs.

    The region is closed also when the forward raises. Threads may call the module at a time.
    """
    opened = _Opened()

    def enter(_module: Any, _args: Any) -> None:
        opened.stack.append(region(name))
        opened.stack[-1].__enter__()

    def leave(_module: Any, _args: Any, _output: Any) -> None:
        if opened.stack:  # empty where the hooks came while this thread was inside the forward
            opened.stack.pop().__exit__(None, None, None)

    handles = [
        module.register_forward_pre_hook(enter, prepend=True),
        module.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Opened(threading.local):
    """The regions that this thread is in."""

    def __init__(self) -> None:
        self.stack: list[region] = []
