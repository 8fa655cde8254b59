"""Hear of modules that are imported, or reloaded, from certain files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def file_of(module: ModuleType) -> str | None:
    """The real path of a module's source; None where it has none."""
    path = getattr(module, "__file__", None)
    return os.path.realpath(path) if isinstance(path, str) else None


@contextmanager
def watch_imports(files: Iterable[str], then: Callable[[ModuleType], None]) -> Iterator[None]:
    """Call ``then`` with each module that is executed from one of ``files`` while the block runs.

    One file may be imported under several names (``helper`` and ``collector.helper``), and each is
    a module of its own.

    Args:
        files: real paths.
        then: called after the module's code has run and before the importer gets it.
    """
    finder = _Finder(frozenset(files), then)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder:
    """Finds what the finders behind it find; the loaders of the files are made to report."""

    def __init__(self, files: frozenset[str], then: Callable[[ModuleType], None]) -> None:
        self._files, self._then = files, then
        self._stems = {_stem(path) for path in files}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.rpartition(".")[2] not in self._stems:
            return None  # the other finders are asked, as if this one were not there
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.origin and os.path.realpath(spec.origin) in self._files:
                    self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            if self in sys.meta_path:  # the block may have ended between finding and executing
                self._then(module)

        loader.exec_module = exec_module


def _stem(path: str) -> str:
    """The last component of the name that a module of this file has."""
    folder, file = os.path.split(path)
    stem = os.path.splitext(file)[0]  # noqa: PTH122
    return os.path.basename(folder) if stem == "__init__" else stem  # noqa: PTH119
