"""Values of any source as Arrow columns of the schema's types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from harness.trace.dims import DIM3, DIM3_COLUMN, encode


def column_of(values: Any, dtype: pa.DataType) -> pa.Array:
    """A column of this type; an Arrow array that has it already is used as it is.

    Args:
        values: an Arrow array, a NumPy array or a list.
        dtype: a type of `harness.trace.schema`.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, ValueError: a value does not fit.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.Array) and values.type.equals(dtype):
        return values
    if dtype.equals(DIM3_COLUMN):
        return encode(values if isinstance(values, pa.Array) else pa.array(values, DIM3))
    if isinstance(values, pa.Array):
        return values.cast(dtype)
    if pa.types.is_dictionary(dtype):
        return pa.array(values, dtype.value_type).dictionary_encode().cast(dtype)
    return pa.array(values, dtype)


class Nulls:
    """Columns without a value that share one stretch of zeros, so that they cost no memory.

    Args:
        length: rows of each.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        # Pages of np.zeros that nobody writes are not backed by memory of their own.
        self._zeros = pa.py_buffer(np.zeros(length + 1, np.int64))

    def of(self, dtype: pa.DataType) -> pa.Array:
        """A column of nulls of this type: fixed-width, list or dictionary."""
        if pa.types.is_dictionary(dtype):
            empty = pa.array([], dtype.value_type)
            return pa.DictionaryArray.from_arrays(self.of(dtype.index_type), empty)
        children = [pa.array([], dtype.value_type)] if pa.types.is_list(dtype) else []
        if not children and not _fixed_width(dtype):
            return pa.nulls(self._length, dtype)
        return pa.Array.from_buffers(
            dtype, self._length, [self._zeros, self._zeros], self._length, children=children
        )


def _fixed_width(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))
