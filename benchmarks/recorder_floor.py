"""What CUPTI itself costs: the activity kinds of the harness, with nothing done to the records."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from benchmarks.recorder_peers import Seen

RUNTIME_DOMAIN, DRIVER_DOMAIN, CUSTOM0 = 2, 1, 3
RING_BUFFERS = 64
"""256 MiB: more than a recording of a million records needs."""


class Floor:
    """The activity kinds of the harness switched on, full buffers thrown away undecoded.

    Args:
        filtered: record only those API calls that the harness records.
    """

    def __init__(self, *, filtered: bool) -> None:
        self._filtered = filtered
        self._bytes = 0
        self._buffers = 0

    def prepare(self) -> dict[str, Any]:
        """Map libcupti, and make a ring of buffers whose pages are there."""
        import torch

        from harness.record.cupti import library
        from harness.record.cupti.apis import puts_work_on_device
        from harness.record.cupti.buffers import BUFFER_BYTES
        from harness.record.cupti.session import KINDS

        self._kinds = KINDS
        self._wanted = puts_work_on_device
        self._size = BUFFER_BYTES
        self._ring = [np.ones(BUFFER_BYTES // 8, np.uint64) for _ in range(RING_BUFFERS)]
        self._free = deque(int(buffer.ctypes.data) for buffer in self._ring)
        self._cupti = library.load()
        self._probe = torch.zeros(1, device="cuda")
        return {"libcupti": self._cupti.version(), "buffer_bytes": BUFFER_BYTES}

    def _lend(self) -> int:
        return self._free.popleft() if self._free else 0

    def _take_back(self, address: int, valid: int) -> None:
        self._free.append(address)
        self._bytes += valid
        self._buffers += 1

    def start(self, records: int) -> None:
        """Register the ring, switch the kinds on, attach one external id, prime with a launch."""
        self._bytes = self._buffers = 0
        self._cupti.register_buffers(self._lend, self._size, self._take_back)
        for kind in self._kinds:
            self._cupti.enable(kind)
        if self._filtered:
            for domain in (RUNTIME_DOMAIN, DRIVER_DOMAIN):
                self._cupti.keep_apis(domain, self._wanted)
        self._cupti.push(CUSTOM0, 1)
        self._probe.fill_(1)

    def stop(self) -> None:
        """Wait for the device, get the buffers back, switch the kinds off."""
        import torch

        self._cupti.pop(CUSTOM0)
        torch.cuda.synchronize()
        self._cupti.flush()
        for kind in reversed(self._kinds):
            self._cupti.disable(kind)
        self._cupti.flush()

    def seen(self) -> Seen:
        """Bytes and buffers; records are not counted."""
        values = {"bytes": float(self._bytes), "buffers": float(self._buffers)}
        return Seen(dropped=self._cupti.dropped(), values=values)

    def release(self) -> None:
        """The buffers are back in the ring already."""
