"""Process and thread ids as Nsight Systems packs them.

``globalTid`` is virtual machine << 48 | process << 24 | thread, and ``globalPid`` the same without
the thread (Nsight Systems user guide, "Common SQLite examples": ``globalTid / 0x1000000 %
0x1000000`` is the PID and ``globalTid % 0x1000000`` the TID).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_BITS = 24
_MASK = (1 << _BITS) - 1


def process_of(ids: Array) -> Array:
    """The system's process id of each global id, int32."""
    return (ids >> _BITS & _MASK).astype(np.int32)


def thread_of(ids: Array) -> Array:
    """The system's thread id of each ``globalTid``, int64."""
    return ids.astype(np.int64) & _MASK


def global_process_of(ids: Array) -> Array:
    """The ``globalPid`` that a ``globalTid`` belongs to."""
    return ids.astype(np.int64) >> _BITS << _BITS
