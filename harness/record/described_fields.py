"""The fields of an object, whatever kind of object it is."""

from __future__ import annotations

import dataclasses
import types
from typing import Any


def fields_of(value: Any) -> dict[str, Any] | None:
    """Fields of a dataclass, a pydantic model, an object with ``__slots__`` or any plain object.

    Properties are not read: they are code. None where the object shows no fields.
    """
    if isinstance(value, slice):
        return {"start": value.start, "stop": value.stop, "step": value.step}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value)]
        named = {name: getattr(value, name) for name in names if hasattr(value, name)}
        return named | dict(getattr(value, "__dict__", {}))
    found = _slots(value)
    if hasattr(value, "__dict__"):
        found |= vars(value)
    elif not found:
        return None
    return found


def _slots(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in type(value).__mro__:
        slots = one.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def class_of(value: Any) -> str:
    """Name of a value's class; of a class or function its own name."""
    owner = value if isinstance(value, (type, types.FunctionType)) else type(value)
    return str(getattr(owner, "__qualname__", owner))
