"""Columns of integers and names that grow by a row, in a few bytes a value."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.trace.dims import dim3_column

Ints = npt.NDArray[np.int64]

NONE = -(1 << 63)
"""Stands for a value that is not known."""


class Integers:
    """A column of integers of up to 64 bits."""

    def __init__(self) -> None:
        self._values = array("q")

    def append(self, value: int | None) -> None:
        """Add a row.

        Raises:
            OverflowError: it does not fit.
        """
        self._values.append(NONE if value is None else value)

    def numbers(self) -> Ints:
        """All rows, `NONE` where nothing is known."""
        return np.frombuffer(self._values, np.int64) if self._values else np.empty(0, np.int64)


class Names:
    """A column of texts, of which few differ."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._rows = array("i")

    def append(self, name: str) -> None:
        """Add a row."""
        self._rows.append(self._codes.setdefault(name, len(self._codes)))

    def column(self, order: Ints) -> pa.DictionaryArray:
        """The rows in this order."""
        rows = np.frombuffer(self._rows, np.int32) if self._rows else np.empty(0, np.int32)
        return pa.DictionaryArray.from_arrays(
            pa.array(rows.take(order)), pa.array(list(self._codes), pa.string())
        )


class Dims:
    """A column of dim3."""

    def __init__(self) -> None:
        self._parts = (Integers(), Integers(), Integers())

    def append(self, value: tuple[int, int, int] | None) -> None:
        """Add a row.

        Raises:
            OverflowError: it does not fit.
        """
        for part, number in zip(self._parts, value or (None, None, None), strict=True):
            part.append(number)

    def column(self, order: Ints) -> pa.DictionaryArray:
        """The rows in this order.

        Raises:
            ValueError: one is no dim3 that CUDA has.
        """
        x, y, z = (part.numbers().take(order) for part in self._parts)
        missing = x == NONE
        x, y, z = (np.where(missing, 0, part) for part in (x, y, z))
        return dim3_column(x, y, z, missing)


def nullable(numbers: Ints, dtype: Any) -> pa.Array:
    """Numbers as a column of this Arrow type, null for `NONE`.

    Raises:
        pyarrow.ArrowInvalid: one does not fit the type.
    """
    missing = numbers == NONE
    column = pa.array(numbers, mask=missing if missing.any() else None)
    return column if column.type.equals(dtype) else column.cast(dtype)
