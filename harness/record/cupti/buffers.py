"""The buffers that CUPTI fills: handed out and taken back, nothing else, on whatever thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

BUFFER_BYTES = 4 << 20
PREALLOCATED = 4
LIMIT = 128
"""Most buffers at a time: 512 MiB, some six million records; beyond it CUPTI drops and says so."""


@dataclass(frozen=True)
class Filled:
    """A buffer that CUPTI has given back; only the first ``valid`` bytes are records."""

    data: Bytes
    valid: int

    @property
    def records(self) -> Bytes:
        """The bytes that hold records."""
        return self.data[: self.valid]


class BufferPool:
    """Buffers by address. CUPTI calls from launching threads and from one of its own.

    Only single operations of deque and dict are used on shared state, which the interpreter makes
    atomic: a lock here could stall a launch.

    Args:
        size: bytes per buffer, a multiple of 8.
        preallocated: buffers that are there before the first request.
        limit: buffers at most, those in CUPTI's hands included.
    """

    def __init__(
        self, size: int = BUFFER_BYTES, preallocated: int = PREALLOCATED, limit: int = LIMIT
    ) -> None:
        self.size = size
        self.limit = limit
        self._preallocated = preallocated
        self._allocated = 0
        self._free: deque[Bytes] = deque()
        self._lent: dict[int, Bytes] = {}
        self._filled: deque[Filled] = deque()
        self._withheld = False
        self.refused = 0
        self.strays = 0
        for _ in range(preallocated):
            self._free.append(self._new())

    def _new(self) -> Bytes:
        self._allocated += 1
        data: Bytes = np.empty(self.size // 8, np.uint64).view(np.uint8)
        data[:: 1 << 12] = 0  # touch every page now, not while a launch waits
        return data

    @property
    def grown(self) -> int:
        """Buffers that are allocated now beyond the preallocated ones."""
        return max(0, self._allocated - self._preallocated)

    def lend(self) -> int:
        """Hand a buffer out.

        Returns:
            Its address, 8-byte aligned; 0 when the limit is reached, upon which CUPTI drops.
        """
        if self._withheld:
            return 0
        try:
            data = self._free.popleft()
        except IndexError:
            if self._allocated >= self.limit:
                self.refused += 1
                return 0
            data = self._new()
        address = int(data.ctypes.data)
        self._lent[address] = data
        return address

    def take_back(self, address: int, valid: int) -> None:
        """Note that CUPTI is done with a buffer that holds ``valid`` bytes of records."""
        data = self._lent.pop(address, None)
        if data is None:
            # Lent by another profiler that registered its callbacks before; not ours to read.
            self.strays += 1
        elif valid > 0:
            self._filled.append(Filled(data, min(valid, self.size)))
        else:
            self._free.append(data)

    def collect(self) -> list[Filled]:
        """Everything given back since the last call, in order. Follow it with `recycle`."""
        found = []
        while self._filled:
            found.append(self._filled.popleft())
        return found

    def recycle(self, filled: Iterable[Filled]) -> None:
        """Let buffers be filled again, once nothing looks at their bytes any more.

        Those beyond the preallocated ones are freed.
        """
        for one in filled:
            if len(self._free) < self._preallocated:
                self._free.append(one.data)
            else:
                self._allocated -= 1

    @contextmanager
    def withheld(self) -> Iterator[None]:
        """Lend nothing while the block runs."""
        self._withheld = True
        try:
            yield
        finally:
            self._withheld = False
