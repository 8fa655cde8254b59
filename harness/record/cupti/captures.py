"""The callback subscription of this process, and what it tells about CUDA graphs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.record.backward import BackwardLog, on_autograd_thread
from harness.record.cupti.binding import Cupti
from harness.record.cupti.nodes import Node, NodeRegions
from harness.record.regions import OpenRegion, open_regions

nodes = NodeRegions()
"""Of this process: a graph may be captured in one recording and replayed in the next."""

_lock = threading.Lock()
_users = 0
_handle = 0


class Captures:
    """Told by CUPTI about nodes; remembers in which region each was made.

    Args:
        clock: returns ns on the clock of the records.

    Attributes:
        backward: the backward passes that are being noted.
        nodes_made: nodes that were captured or added.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.backward: BackwardLog | None = None
        self.nodes_made = 0

    def created(self, node: int, kind: int | None) -> None:
        """See `harness.record.cupti.binding.GraphListener`."""
        self.nodes_made += 1
        nodes.created(node, Node(kind, self._regions(), threading.get_native_id(), self._clock()))

    def cloned(self, node: int, original: int) -> None:
        """See `harness.record.cupti.binding.GraphListener`."""
        self.nodes_made -= 1  # announced as made just before
        nodes.cloned(node, original)

    def ended(self, graph: int) -> None:
        """See `harness.record.cupti.binding.GraphListener`."""
        nodes.ended(graph)

    def _regions(self) -> tuple[OpenRegion, ...]:
        here = open_regions()
        if not here and self.backward is not None and on_autograd_thread():
            return self.backward.running()
        return here


_captures: Captures | None = None


@contextmanager
def subscribed(cupti: Cupti) -> Iterator[Captures]:
    """Hold the subscription and note graph nodes while the block runs; blocks may nest.

    Raises:
        RecorderBusyError: somebody else holds it.
    """
    global _users, _handle, _captures
    with _lock:
        if _users == 0:
            _captures = Captures(cupti.timestamp)
            _handle = cupti.subscribe(_captures)
        _users += 1
        assert _captures is not None
        held = _captures
    owner = os.getpid()
    try:
        yield held
    finally:
        if os.getpid() == owner:  # a fork has no CUDA, and must not touch the parent's
            _release(cupti)


def _release(cupti: Cupti) -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            cupti.unsubscribe(_handle)


def _forget_in_child() -> None:
    global _users, _lock
    _users, _lock = 0, threading.Lock()


os.register_at_fork(after_in_child=_forget_in_child)
