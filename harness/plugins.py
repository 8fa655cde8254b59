"""Built-in parts by name, and those of other packages by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any


def plugin_names(group: str, built_in: Mapping[str, str]) -> list[str]:
    """Names of all parts, the built-in ones first, in order."""
    others = [entry.name for entry in entry_points(group=group)]
    return [*built_in, *(name for name in others if name not in built_in)]


def load_plugin(name: str, group: str, built_in: Mapping[str, str]) -> Any:
    """The class of this name, or None when there is none.

    Args:
        name: of the part; a built-in one hides an entry point of the same name.
        group: of the entry points of other packages.
        built_in: name -> ``module:attribute``.
    """
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(import_module(module), attribute)
    for entry in entry_points(group=group):
        if entry.name == name:
            return entry.load()
    return None
