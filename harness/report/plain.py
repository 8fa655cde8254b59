"""Python values as plain JSON values, with nothing lost silently."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Set
from enum import Enum
from typing import Any


def plain_json(value: Any, where: str, non_finite: dict[str, str]) -> Any:
    """A value as JSON has it: enums by value, tuples and sets as lists, the unknown as its text.

    Args:
        value: any nesting of mappings, sequences, dataclasses and scalars.
        where: dotted path of ``value`` in the document.
        non_finite: gets an entry by path for each NaN or infinity, which becomes null.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain_json(value.value, where, non_finite)
    if isinstance(value, (str, int)):
        return str(value) if isinstance(value, str) else int(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        non_finite[where] = str(value)
        return None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {
            str(key): plain_json(item, f"{where}.{key}".lstrip("."), non_finite)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple, Set)):
        items = sorted(value, key=str) if isinstance(value, Set) else value
        return [plain_json(item, f"{where}.{i}", non_finite) for i, item in enumerate(items)]
    return str(value)
