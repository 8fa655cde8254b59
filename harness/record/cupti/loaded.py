"""Whether shared libraries have come into the process."""

from __future__ import annotations

import ctypes
from typing import Any


class _Information(ctypes.Structure):
    """struct dl_phdr_info of link.h."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.c_void_p),
        ("number", ctypes.c_uint16),
        ("adds", ctypes.c_ulonglong),
        ("subs", ctypes.c_ulonglong),
    )


_Visit = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(_Information), ctypes.c_size_t, ctypes.c_void_p
)


def libraries_loaded() -> int:
    """How many shared libraries this process has ever loaded; takes some µs.

    The count ``dlpi_adds`` of dl_iterate_phdr(3). Equal counts mean that nothing was mapped since,
    which spares reading /proc/self/maps (1.2 ms in a process with torch).
    """
    found: list[int] = []

    def first(information: Any, _size: int, _data: Any) -> int:
        found.append(int(information[0].adds))
        return 1

    ctypes.CDLL(None).dl_iterate_phdr(_Visit(first), None)
    return found[0]
