"""Proof, once per process, that records which CUPTI loses are counted."""

from __future__ import annotations

from collections.abc import Callable

from harness.record.cupti.binding import Cupti
from harness.record.cupti.buffers import BufferPool
from harness.record.cupti.fields import Kind

_proven: bool | None = None


def drops_are_counted(cupti: Cupti, pool: BufferPool, launch: Callable[[], None]) -> bool:
    """Let CUPTI lose a record by lending it no buffer, and see whether it counts that.

    Takes about 0.1 ms the first time (H200, CUPTI 13.0); afterwards the answer is known.

    Args:
        cupti: with the pool's callbacks registered and nothing enabled.
        pool: lends CUPTI its buffers.
        launch: launches a kernel and waits for it.
    """
    global _proven
    if _proven is None:
        cupti.dropped()
        with pool.withheld():
            cupti.enable(Kind.KERNEL)
            try:
                launch()
                cupti.flush()
                _proven = cupti.dropped() > 0
            finally:
                cupti.disable(Kind.KERNEL)
    return _proven
