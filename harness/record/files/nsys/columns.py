"""Integer columns of an export, narrowed a batch at a time: no more is held than is kept."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.record.files.nsys.database import quoted
from harness.record.files.nsys.strings import text
from harness.trace.dims import dim3_keys

Array = npt.NDArray[Any]
Missing = npt.NDArray[np.bool_] | None
"""True where there is no value; None for none missing."""


class _Numbered:
    """Numbers 0, 1, ... for values of which few are different, in the order they are met."""

    def __init__(self) -> None:
        self._number: dict[Any, int] = {}
        self._lock = threading.Lock()

    def encoded(self, values: pa.Array) -> Array:
        """The number of each value, int32."""
        # hashed, not sorted: an order of magnitude faster than numpy.unique
        encoded = values.dictionary_encode()
        with self._lock:
            numbers = [
                self._number.setdefault(one, len(self._number))
                for one in encoded.dictionary.to_pylist()
            ]
        found: Array = np.array(numbers, np.int32).take(encoded.indices.to_numpy())
        return found


class Codes(_Numbered):
    """Numbers of integers."""

    def of(self, keys: Array) -> Array:
        """The number of each integer, int32."""
        return self.encoded(pa.array(keys))

    @property
    def keys(self) -> Array:
        """The integers by number, int64."""
        return np.fromiter(self._number, np.int64, len(self._number))


class Texts(_Numbered):
    """Numbers of texts."""

    @property
    def keys(self) -> list[bytes]:
        """The texts by number."""
        return list(self._number)


class Wanted(Protocol):
    """A column of the result."""

    @property
    def dtype(self) -> type:
        """Type that its values have in the result."""
        ...

    def select(self, present: Collection[str]) -> list[str]:
        """SQL expressions for a table with these columns, none where it lacks what is needed."""
        ...

    def narrow(self, values: Sequence[pa.Array]) -> tuple[Array, Missing]:
        """What the expressions gave, as it is kept, 0 where missing.

        Raises:
            pyarrow.ArrowException, ValueError: a value is no integer or does not fit.
        """
        ...


@dataclass(frozen=True)
class Column:
    """An integer column.

    Attributes:
        sources: columns of the table; of those that are there, the first that is not null. More
            than one only where it matters, since SQLite then compares row by row.
        kept: integer type that the values have to fit.
        codes: where given, the values are replaced by their numbers.
    """

    sources: tuple[str, ...]
    kept: pa.DataType = field(default_factory=pa.int64)
    codes: Codes | None = None

    @property
    def dtype(self) -> type:
        return np.int32 if self.codes is not None else self.kept.to_pandas_dtype()

    def select(self, present: Collection[str]) -> list[str]:
        names = [quoted(one) for one in self.sources if one in present]
        return [f"coalesce({', '.join(names)})"] if len(names) > 1 else names

    def narrow(self, values: Sequence[pa.Array]) -> tuple[Array, Missing]:
        numbers, missing = _integers(values[0], self.kept)
        return (numbers if self.codes is None else self.codes.of(numbers)), missing


@dataclass(frozen=True)
class Dim3Column:
    """Three columns that are the x, y and z of a CUDA dim3, as codes of `dim3_keys`."""

    sources: tuple[str, str, str]
    codes: Codes

    @property
    def dtype(self) -> type:
        return np.int32

    def select(self, present: Collection[str]) -> list[str]:
        return [quoted(one) for one in self.sources] if set(self.sources) <= set(present) else []

    def narrow(self, values: Sequence[pa.Array]) -> tuple[Array, Missing]:
        parts = [_integers(one, pa.int64()) for one in values]
        (x, _), (y, _), (z, _) = parts
        gaps = [missing for _, missing in parts if missing is not None]
        missing = np.logical_or.reduce(gaps) if gaps else None
        return self.codes.of(dim3_keys(x, y, z)), missing


@dataclass(frozen=True)
class TextColumn:
    """A column of texts, as their numbers; what is null is the empty text."""

    source: str
    texts: Texts

    @property
    def dtype(self) -> type:
        return np.int32

    def select(self, present: Collection[str]) -> list[str]:
        return [text(self.source)] if self.source in present else []

    def narrow(self, values: Sequence[pa.Array]) -> tuple[Array, Missing]:
        return self.texts.encoded(values[0]), None


def _integers(values: pa.Array, kept: pa.DataType) -> tuple[Array, Missing]:
    # Text that looks like a number would be cast too.
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise pa.ArrowTypeError(f"it holds {values.type}")
    missing = None
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        values = values.fill_null(0)
    return values.cast(kept).to_numpy(), missing
