"""Any value as plain, comparable Python: what a call's arguments look like, without their data.

Tensors and numpy arrays become a `TensorFacts`, objects a mapping of their fields with their class
under `CLASS`, what a long container holds beyond its first entries a `Rest`. Nothing is told by its
identity or address: of functions, modules, locks, handles and the like the class alone.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from enum import Enum
from itertools import islice
from typing import Any

import numpy as np

from harness.record.described_fields import class_of, fields_of
from harness.record.described_rest import Rest, rest_of
from harness.record.described_tensor import TensorFacts, array_facts, tensor_facts
from harness.record.own_values import MORE, field_name

__all__ = ["CLASS", "DEEPEST", "MOST_FIELDS", "MOST_ITEMS", "Rest", "TensorFacts", "describe"]

CLASS = "<class>"
"""Key of an object's class among its fields."""

DEEPEST = 8
"""Levels of nesting that are looked into; attention metadata has three or four."""

MOST_ITEMS = 64
"""Entries of a list or set that are looked at one by one; the others are in a `Rest`."""

MOST_FIELDS = 256
"""Fields of an object and entries of a mapping that are looked at one by one, so that each has a
name by which it can be declared. The configurations of transformers have up to a hundred."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_OPAQUE = (types.ModuleType, functools.partial, type)
_OF_LIBRARIES = frozenset({*sys.stdlib_module_names, "torch", "triton", "numpy"})


def describe(value: Any, name: str = "") -> Any:
    """A value as nested mappings, tuples, scalars, `TensorFacts` and `Rest`.

    Objects that hold themselves are cut where they begin again (``<the same as ...>``), and
    everything `DEEPEST` levels down is named by its class alone.

    Args:
        value: of a call; read while the call waits.
        name: of the argument. Some values count or do not by name (`own_values`).
    """
    return _describe(value, name, {})


def _describe(value: Any, path: str, above: dict[int, str]) -> Any:
    if type(value) in _PLAIN:
        return value
    leaf = _leaf(value)
    if leaf is not None:
        return leaf
    if id(value) in above:
        return f"<the same as {above[id(value)] or 'the whole'}>"
    if len(above) >= DEEPEST:
        return f"<{class_of(value)}>"
    return _parts(value, path, {**above, id(value): path})


def _leaf(value: Any) -> Any:
    """What has no parts; None for everything else."""
    import torch

    if isinstance(value, torch.Tensor):
        return tensor_facts(value)
    if isinstance(value, np.ndarray):
        return array_facts(value)
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, np.generic):
        return repr(value)
    for plain in (int, float, complex, str, bytes):
        if isinstance(value, plain):
            return f"{class_of(value)}({plain.__repr__(value)})"  # as numpy writes its scalars
    if isinstance(value, (torch.dtype, torch.device, torch.Size)):
        return str(value)
    opaque = isinstance(value, (torch.nn.Module, *_OPAQUE)) or inspect.isroutine(value)
    return f"<{class_of(value)}>" if opaque else None


def _parts(value: Any, path: str, above: dict[int, str]) -> Any:
    if isinstance(value, Mapping):
        return _entries(_by_text(value), path, above)
    if isinstance(value, Set):
        return _items(sorted(str(_describe(item, path, above)) for item in value), path, above)
    if isinstance(value, Sequence):
        return _items(value, path, above)
    fields = _settings(value) if callable(value) else fields_of(value)
    if fields is None:
        return f"<{class_of(value)}>"
    return {CLASS: class_of(value)} | _entries(fields, path, above)


def _settings(value: Any) -> dict[str, Any]:
    """Public fields of a callable object that are plain values.

    Others are state more often than settings, and what is callable in the standard library, torch,
    numpy and triton (a cached or compiled function) holds its caches in fields: none of these.
    """
    if type(value).__module__.split(".")[0] in _OF_LIBRARIES:
        return {}
    fields = fields_of(value) or {}
    kinds = (*_PLAIN, Enum, np.generic)
    return {k: v for k, v in fields.items() if not k.startswith("_") and isinstance(v, kinds)}


def _by_text(value: Mapping[Any, Any]) -> dict[str, Any]:
    """Entries by their keys as text; keys of the same text are numbered."""
    seen: Counter[str] = Counter()
    found: dict[str, Any] = {}
    for key, item in value.items():
        text = _key(key)
        seen[text] += 1
        found[text if seen[text] == 1 else f"{text} #{seen[text]}"] = item
    return found


def _key(key: Any) -> str:
    if type(key) in _PLAIN:
        return str(key)
    described = _describe(key, "", {})
    return f"<{class_of(key)}>" if isinstance(described, dict) else str(described)


def _items(values: Sequence[Any], path: str, above: dict[int, str]) -> tuple[Any, ...]:
    every = ((str(i), _describe(v, _under(path, i), above)) for i, v in enumerate(values))
    first = tuple(item for _, item in islice(every, MOST_ITEMS))
    beyond = len(values) - MOST_ITEMS
    return first if beyond <= 0 else (*first, rest_of(every, beyond, _name(path)))


def _entries(items: Mapping[str, Any], path: str, above: dict[int, str]) -> dict[str, Any]:
    names = list(items) if len(items) <= MOST_FIELDS else sorted(items)
    every = ((name, _describe(items[name], _under(path, name), above)) for name in names)
    found = dict(islice(every, MOST_FIELDS))
    beyond = len(items) - MOST_FIELDS
    return found if beyond <= 0 else found | {MORE: rest_of(every, beyond, _name(path))}


def _under(path: str, name: object) -> str:
    return f"{path}.{name}".lstrip(".")


def _name(path: str) -> str:
    return field_name(path.split("."))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of everything in a description that is not a container itself."""
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, tuple):
        items = enumerate(value)
    else:
        yield path, value
    for key, item in items:
        yield from leaves(item, f"{path}.{key}".lstrip("."))
