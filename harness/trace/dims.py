"""Columns of CUDA dim3: many rows, few distinct values, so stored as numbers into a dictionary."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DIM3 = pa.list_(pa.int32(), 3)
"""A CUDA dim3 (x, y, z), in blocks, threads or blocks per cluster."""

DIM3_COLUMN = pa.dictionary(pa.int32(), DIM3)
"""How a column of them is stored: 4 bytes a row."""

DIM3_FILE = pa.list_(pa.int32())
"""How Parquet holds them: not with a fixed length, of which pyarrow 25 cannot read nulls back."""

Numbers = npt.NDArray[Any]


def dim3_column(
    x: Numbers, y: Numbers, z: Numbers, missing: npt.NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    """A column from its three components.

    Args:
        x, y, z: integers of shape (n,), at least 0 and below 2^31, 2^16 and 2^16: the limits of a
            CUDA grid (CUDA C++ Programming Guide, table of technical specifications).
        missing: shape (n,), True where there is no dim3.

    Raises:
        ValueError: a component is outside its range.
    """
    encoded = pa.array(dim3_keys(x, y, z), mask=missing).dictionary_encode()
    distinct = encoded.dictionary.to_numpy(zero_copy_only=False)
    return pa.DictionaryArray.from_arrays(encoded.indices, dim3_values(distinct))


def dim3_keys(x: Numbers, y: Numbers, z: Numbers) -> npt.NDArray[np.int64]:
    """Each dim3 as one number, ``x << 32 | y << 16 | z``; arguments and errors as `dim3_column`."""
    key = x.astype(np.int64)
    key <<= 16
    key |= y
    key <<= 16
    key |= z
    if len(key) and not _in_range(x, y, z):
        raise ValueError("a dim3 is outside 0 <= x < 2^31, 0 <= y, z < 2^16")
    return key


def dim3_values(keys: npt.NDArray[np.int64]) -> pa.FixedSizeListArray:
    """What `dim3_keys` packed, as a plain column of type `DIM3`."""
    parts = np.stack([keys >> 32, keys >> 16 & 0xFFFF, keys & 0xFFFF], axis=1)
    return pa.FixedSizeListArray.from_arrays(
        pa.array(parts.astype(np.int32).reshape(-1)), type=DIM3
    )


def _in_range(x: Numbers, y: Numbers, z: Numbers) -> bool:
    # A negative number is a large one when its bits are read as unsigned.
    seen = np.bitwise_or.reduce(y.astype(np.int64)) | np.bitwise_or.reduce(z.astype(np.int64))
    return 0 <= int(seen) < 1 << 16 and 0 <= int(np.bitwise_or.reduce(x.astype(np.int64))) < 1 << 31


def encode(values: pa.Array) -> pa.DictionaryArray:
    """A plain column of dim3, of fixed or variable length, as it is stored.

    Raises:
        ValueError: a list has not three numbers.
    """
    missing = values.is_null().to_numpy(zero_copy_only=False)
    flat = values.fill_null([0, 0, 0]).flatten().to_numpy(zero_copy_only=False)
    if len(flat) != 3 * len(values):
        raise ValueError("a dim3 does not have three numbers")
    parts = flat.reshape(-1, 3)
    return dim3_column(parts[:, 0], parts[:, 1], parts[:, 2], missing)


def decode(values: pa.Array) -> pa.Array:
    """A stored column as a plain one of `DIM3_FILE`."""
    return values.dictionary.cast(DIM3_FILE).take(values.indices)
