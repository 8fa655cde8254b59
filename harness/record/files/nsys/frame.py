"""Columns that several threads fill, each its own stretch of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.record.files.nsys.columns import Array, Missing


class Values:
    """One column.

    Args:
        length: number of rows.
        dtype: NumPy integer type.

    Attributes:
        numbers: shape (n,), 0 where there is no value.
        missing: shape (n,), True where there is no value; None for none missing.
    """

    def __init__(self, length: int, dtype: type) -> None:
        self.numbers: Array = np.zeros(length, dtype)
        self._missing = np.zeros(length, np.bool_)
        self._some_missing = False
        self._some_known = False

    @property
    def missing(self) -> Missing:
        return self._missing if self._some_missing else None

    @property
    def empty(self) -> bool:
        """Whether no row has a value."""
        return not self._some_known

    def put(self, rows: slice | Array, numbers: Array, missing: Missing) -> None:
        """Fill these rows."""
        if missing is not None:
            self._missing[rows] = missing
            self._some_missing |= bool(missing.any())
            if missing.all():
                return
        self._some_known = True
        self.numbers[rows] = numbers

    def leave(self, rows: slice | Array) -> None:
        """These rows have no value."""
        self._some_missing = True
        self._missing[rows] = True


@dataclass(frozen=True)
class Frame:
    """Columns of equal length that hold the rows of several tables.

    Attributes:
        columns: by name, those that were asked for and that a table has.
        stretches: where the rows of each table are; what is between them has no meaning.
        length: of each column.
    """

    columns: dict[str, Values]
    stretches: Mapping[str, list[slice]]
    length: int

    def count(self, table: str) -> int:
        """Number of rows of a table."""
        return sum(one.stop - one.start for one in self.stretches.get(table, ()))

    def places(self) -> Array | None:
        """Where the rows are, shape (n,); None where they are everywhere."""
        parts = [one for some in self.stretches.values() for one in some]
        if sum(one.stop - one.start for one in parts) == self.length:
            return None
        return np.concatenate([np.arange(one.start, one.stop) for one in parts])

    def filled(self, name: str, value: int = -1) -> Array:
        """A column's numbers, with ``value`` where there is none or no such column."""
        column = self.columns.get(name)
        if column is None:
            return np.full(self.length, value, np.int64)
        if column.missing is None:
            return column.numbers
        return np.where(column.missing, column.numbers.dtype.type(value), column.numbers)
