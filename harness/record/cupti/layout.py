"""How the records of the mapped libcupti lie in memory: one dtype per kind of activity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import MissingPackageError
from harness.record.cupti.fields import FIELDS, Kind

OLDEST = 130000
"""Oldest cuptiGetVersion that is read: CUDA 13.0."""


_STRUCTS = {
    Kind.MEMCPY: r"activity_memcpy(\d+)_dtype",
    Kind.MEMSET: r"activity_memset(\d+)_dtype",
    Kind.DRIVER: r"activity_api(\d*)_dtype",
    Kind.RUNTIME: r"activity_api(\d*)_dtype",
    Kind.KERNEL: r"activity_kernel(\d+)_dtype",
    Kind.MARKER: r"activity_marker(\d*)_dtype",
    Kind.MEMCPY_PEER: r"activity_memcpy_pto_p(\d+)_dtype",
    Kind.EXTERNAL_CORRELATION: r"activity_external_correlation(\d*)_dtype",
}


@dataclass(frozen=True)
class Layouts:
    """What a decoder needs to know about the records.

    Attributes:
        dtypes: structured dtype per kind that is decoded; its item size is the record's size.
        sizes: size in bytes of every kind that libcupti can write, those skipped included.
    """

    dtypes: Mapping[int, np.dtype[np.void]]
    sizes: Mapping[int, int]


def documented_sizes(version: int) -> dict[int, int]:
    """Record sizes in bytes by libcupti version, from the headers of CUDA 13.0 to 13.5.

    Args:
        version: as from cuptiGetVersion; 130001 is CUDA 13.0, update 1.
    """
    kernel = next(
        size
        for since, size in ((130400, 248), (130300, 232), (130100, 224), (0, 216))
        if version >= since
    )
    return {
        Kind.MEMCPY: 112 if version >= 130400 else 96,
        Kind.MEMSET: 104 if version >= 130400 else 88,
        Kind.DRIVER: 40,
        Kind.RUNTIME: 40,
        Kind.KERNEL: kernel,
        Kind.MARKER: 56,
        Kind.MEMCPY_PEER: 96,
        Kind.EXTERNAL_CORRELATION: 24,
    }


def make_layouts(structs: Mapping[str, np.dtype[np.void]], sizes: Mapping[int, int]) -> Layouts:
    """Fit the dtypes of cupti-python to the record sizes of the mapped libcupti.

    CUPTI only ever appends to a record. So of each family the newest dtype that is not larger than
    the record is right in every field; where all are larger, the oldest is, up to the record's end.
    Fields that this libcupti does not write are left out.

    Args:
        structs: cupti-python's dtypes by name.
        sizes: record size in bytes by kind, of the mapped libcupti.

    Raises:
        MissingPackageError: cupti-python has no fitting dtype for a kind.
    """
    dtypes = {kind: _fit(kind, pattern, structs, sizes) for kind, pattern in _STRUCTS.items()}
    return Layouts({int(kind): dtype for kind, dtype in dtypes.items()}, dict(sizes))


def _fit(
    kind: Kind, pattern: str, structs: Mapping[str, np.dtype[np.void]], sizes: Mapping[int, int]
) -> np.dtype[np.void]:
    size = sizes[kind]
    family = [
        (int(found[1] or 0), dtype)
        for name, dtype in structs.items()
        if (found := re.fullmatch(pattern, name))
    ]
    within = [member for member in family if member[1].itemsize <= size]
    if not family:
        raise _no_layout(kind, size)
    chosen = max(within, key=_number)[1] if within else min(family, key=_number)[1]
    fields: Mapping[str, Any] = chosen.fields or {}
    written = {name: of for name, of in fields.items() if of[1] + of[0].itemsize <= size}
    if not set(FIELDS[kind]) <= set(written):
        raise _no_layout(kind, size)
    return np.dtype(
        {
            "names": list(written),
            "formats": [of[0] for of in written.values()],
            "offsets": [of[1] for of in written.values()],
            "itemsize": size,
        }
    )


def _number(member: tuple[int, np.dtype[np.void]]) -> int:
    return member[0]


def _no_layout(kind: Kind, size: int) -> MissingPackageError:
    return MissingPackageError(
        f"cupti-python has no record layout for activity kind {kind.name} of {size} bytes, "
        "which the mapped libcupti writes",
        fix="pip install 'cupti-python>=13.0.1,<13.5' in the version of your CUDA release",
    )
