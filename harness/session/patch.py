"""Put functions into the place of others, wherever these have been imported to, for a while."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from harness.errors import InputError
from harness.session.imports import file_of, watch_imports

Substitute = Callable[[str, Any], Any]
"""From a name in a module, and what it is bound to, to what shall stand there; None: as it is."""


@contextmanager
def patched(modules: Sequence[str], substitute: Substitute) -> Iterator[None]:
    """Substitute functions of some modules while the block runs.

    Each function that ``substitute`` answers for is replaced in its module and in every other
    imported module that holds the very same object, under whatever name. The same file imported
    under another name counts as named, and so does a later import or reload of it. Everything is
    put back at the end, also in modules that were imported meanwhile. Not reached: copies that are
    not attributes of a module (default arguments, containers, closures).

    Args:
        modules: names as in ``import``; they are imported.
        substitute: asked about each attribute of those modules.

    Raises:
        InputError: a module cannot be imported, or nothing in it is substituted.
    """
    swaps = _Swaps(substitute)
    named = [_imported(name) for name in modules]
    files = {path for module in named if (path := file_of(module))}
    try:
        for module in [*named, *_other_spellings(named, files)]:
            if not swaps.learn(module) and module in named:
                raise InputError(
                    f"there is nothing to patch in {module.__name__}",
                    fix="name the module that defines benchmark_with_power or a log_perf",
                )
        swaps.spread()
        with watch_imports(files, swaps.loaded):
            yield
    finally:
        swaps.undo()


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"patch= names {name}, which cannot be imported ({error})",
            fix="name it as the collector imports it, with its folder on sys.path",
        ) from error


def _other_spellings(named: Sequence[ModuleType], files: set[str]) -> list[ModuleType]:
    return [
        module
        for module in list(sys.modules.values())
        if isinstance(module, ModuleType) and module not in named and file_of(module) in files
    ]


class _Swaps:
    """Pairs of what was there and what stands there now."""

    def __init__(self, substitute: Substitute) -> None:
        self._substitute = substitute
        self._there: dict[int, tuple[Any, Any]] = {}
        self._touched: list[dict[str, Any]] = []

    def learn(self, module: ModuleType) -> bool:
        """Ask about every attribute of the module; whether any of them is to be replaced."""
        found = False
        for name, value in list(vars(module).items()):
            if id(value) not in self._there:
                new = self._substitute(name, value)
                if new is None:
                    continue
                self._there[id(value)] = (value, new)
            found = True
        return found

    def loaded(self, module: ModuleType) -> None:
        """A module was executed from a named file."""
        self.learn(module)
        self.spread()

    def spread(self) -> None:
        """Replace everywhere."""
        for namespace in _namespaces():
            for name, value in list(namespace.items()):
                if id(value) in self._there:
                    namespace[name] = self._there[id(value)][1]
                    self._touched.append(namespace)

    def undo(self) -> None:
        """Put back, also where a later import has taken a replacement from."""
        back = {id(new): old for old, new in self._there.values()}
        for namespace in [*_namespaces(), *self._touched]:  # a module may have been removed
            for name, value in list(namespace.items()):
                if id(value) in back:
                    namespace[name] = back[id(value)]


def _namespaces() -> list[dict[str, Any]]:
    found = (getattr(module, "__dict__", None) for module in list(sys.modules.values()))
    return [namespace for namespace in found if isinstance(namespace, dict)]
