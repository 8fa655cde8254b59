"""What makes two activities the same: the raw name of a kernel, direction and size of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import pyarrow as pa
import pyarrow.compute as pc

from harness.trace import Trace

NAMELESS = "<nameless>"
"""Key of an activity whose name the recorder does not know."""


def identity_key(row: Mapping[str, Any]) -> str:
    """Identity of one row of an activities table.

    Returns:
        A kernel's mangled name or an op's overload name as they are, ``memcpy DtoD 4096 B``,
        ``memset 0x0 4096 B``; a ``?`` for a size or value that the recorder does not know.
    """
    return _key(row["kind"], row["name"], row["bytes"], row["value"])


_KNOWN: WeakKeyDictionary[Trace, list[str]] = WeakKeyDictionary()
"""Keys that were made already: most checks ask for those of the same forwards."""


def identity_keys(trace: Trace) -> list[str]:
    """`identity_key` of every activity, in order."""
    if trace not in _KNOWN:
        _KNOWN[trace] = _keys(trace)
    return list(_KNOWN[trace])


def _keys(trace: Trace) -> list[str]:
    table = trace.activities
    kinds = table["kind"].cast(pa.string())
    keys: list[str] = pc.fill_null(table["name"].cast(pa.string()), NAMELESS).to_pylist()
    # Copies are few among kernels: only their rows are visited in Python.
    sized = pc.indices_nonzero(pc.is_in(kinds, pa.array(["memcpy", "memset"])))
    columns = (kinds.take(sized), table["bytes"].take(sized), table["value"].take(sized))
    visited = zip(sized.to_pylist(), *(column.to_pylist() for column in columns), strict=True)
    for row, kind, size, value in visited:
        keys[row] = _key(kind, keys[row], size, value)
    return keys


def _key(kind: str, name: str | None, size: int | None, value: int | None) -> str:
    if kind not in ("memcpy", "memset"):
        return NAMELESS if name is None else name
    moved = "?" if size is None else str(size)
    if kind == "memset":
        return f"memset {'?' if value is None else f'{value:#x}'} {moved} B"
    return f"memcpy {name or NAMELESS} {moved} B"
