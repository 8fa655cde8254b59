"""Any value as plain, comparable Python: what a call's arguments look like, without their data.

Tensors become a `TensorFacts`, objects a mapping of their fields with their class under `CLASS`.
No tensor is copied: its smallest and largest value are reduced on its own device.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CLASS = "<class>"
"""Key of an object's class among its fields."""

DEEPEST = 8
"""Levels of nesting that are looked into; attention metadata has three or four."""

MOST_ITEMS = 64
"""Entries of one container that are looked at; what is left out is counted."""

VECTOR_BYTES = 16
"""Widest load of a thread (CUDA C++ Programming Guide): alignment beyond it changes nothing."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_OPAQUE = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, functools.partial, type)


@dataclass(frozen=True)
class TensorFacts:
    """What a tensor looks like to a kernel.

    Attributes:
        shape: elements per dimension.
        stride: elements from one to the next per dimension.
        dtype: without ``torch.``.
        device: its type.
        contiguous: whether elements lie one after the other.
        alignment: bytes, a power of two, at most `VECTOR_BYTES`.
        least, most: smallest and largest value; None without elements, on meta, and for dtypes that
            have no order.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    device: str
    contiguous: bool
    alignment: int
    least: float | int | None = None
    most: float | int | None = None

    def __str__(self) -> str:
        layout = "" if self.contiguous else f" stride {list(self.stride)}"
        values = "" if self.least is None else f" of {self.least:g} to {self.most:g}"
        return f"{self.dtype}{list(self.shape)}{layout} {self.device}{values}"


def describe(value: Any) -> Any:
    """A value as nested mappings, tuples, scalars and `TensorFacts`.

    Objects that hold themselves are cut where they begin again (``<the same as ...>``), and
    everything `DEEPEST` levels down is named by its class alone.
    """
    return _describe(value, "", {})


def _describe(value: Any, path: str, above: dict[int, str]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return tensor_facts(value)
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if type(value) in _PLAIN:
        return value
    if isinstance(value, (torch.dtype, torch.device, torch.Size)):
        return str(value)
    if isinstance(value, (torch.nn.Module, *_OPAQUE)) or callable(value):
        return f"<{_class_of(value)}>"
    if id(value) in above:
        return f"<the same as {above[id(value)] or 'the whole'}>"
    if len(above) >= DEEPEST:
        return f"<{_class_of(value)}>"
    return _parts(value, path, {**above, id(value): path})


def _parts(value: Any, path: str, above: dict[int, str]) -> Any:
    if isinstance(value, Mapping):
        return _entries({str(key): item for key, item in value.items()}, path, above)
    if isinstance(value, Set):
        return tuple(sorted(str(_describe(item, path, above)) for item in value))
    if isinstance(value, Sequence):
        named = _entries({str(i): item for i, item in enumerate(value)}, path, above)
        return named if len(value) > MOST_ITEMS else tuple(named.values())
    fields = fields_of(value)
    if fields is None:
        return f"<{_class_of(value)}>"
    return {CLASS: _class_of(value)} | _entries(fields, path, above)


def _entries(items: Mapping[str, Any], path: str, above: dict[int, str]) -> dict[str, Any]:
    first = list(items.items())[:MOST_ITEMS]
    found = {key: _describe(item, f"{path}.{key}".lstrip("."), above) for key, item in first}
    if len(items) > MOST_ITEMS:
        found["<more>"] = len(items) - MOST_ITEMS
    return found


def fields_of(value: Any) -> dict[str, Any] | None:
    """Fields of a dataclass, a pydantic model, an object with ``__slots__`` or any plain object.

    Properties are not read: they are code. None where the object shows no fields.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value)]
        named = {name: getattr(value, name) for name in names if hasattr(value, name)}
        return named | dict(getattr(value, "__dict__", {}))
    found: dict[str, Any] = {}
    for one in type(value).__mro__:
        slots = one.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(value, name):
                found[name] = getattr(value, name)
    if hasattr(value, "__dict__"):
        found |= vars(value)
    elif not found:
        return None
    return found


def _class_of(value: Any) -> str:
    owner = value if isinstance(value, (type, types.FunctionType)) else type(value)
    name = getattr(owner, "__qualname__", str(owner))
    return str(name)


def tensor_facts(tensor: torch.Tensor) -> TensorFacts:
    """Describe a tensor; nothing is copied but two numbers."""
    least, most = _range(tensor)
    return TensorFacts(
        shape=tuple(tensor.shape),
        stride=tuple(tensor.stride()),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=tensor.device.type,
        contiguous=tensor.is_contiguous(),
        alignment=_alignment(tensor),
        least=least,
        most=most,
    )


def _alignment(tensor: torch.Tensor) -> int:
    offset = int(tensor.storage_offset()) * tensor.element_size()
    address = offset if tensor.is_meta else tensor.data_ptr()
    return VECTOR_BYTES if address % VECTOR_BYTES == 0 else address & -address


def _range(tensor: torch.Tensor) -> tuple[float | int | None, float | int | None]:
    import torch

    if tensor.is_meta or not tensor.numel() or tensor.is_complex() or tensor.element_size() == 1:
        if tensor.dtype is not torch.bool or tensor.is_meta or not tensor.numel():
            return None, None
        return int(tensor.all()), int(tensor.any())
    with torch.no_grad():
        least, most = torch.aminmax(tensor)
    return least.item(), most.item()
