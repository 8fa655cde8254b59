"""One stretch of recording: everything that is switched on is switched off again."""

from __future__ import annotations

import atexit
import itertools
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from harness.errors import RecorderBusyError
from harness.record.backward import BackwardLog, watch_backward
from harness.record.cupti import binding, captures
from harness.record.cupti.apis import RECORDED, Apis
from harness.record.cupti.attribution import MARK
from harness.record.cupti.buffers import BufferPool, Filled
from harness.record.cupti.devices import probe_tensor, synchronise_devices
from harness.record.cupti.drops import drops_are_counted
from harness.record.cupti.fields import Kind
from harness.record.cupti.ids import RegionIds
from harness.record.cupti.library import mapped_now
from harness.record.regions import RegionLog, add_listener, open_regions, remove_listener
from harness.record.state import mark_traced, traced_by

APIS = (Kind.RUNTIME, Kind.DRIVER)
# Chosen once: switching kinds between recordings can stop the node records of existing graphs.
# External ids need the calls, peer copies need copies. What runs on the device is switched on last
# and off first: what another thread launches meanwhile is then missing, and not without its call.
KINDS = (
    *APIS, Kind.EXTERNAL_CORRELATION, Kind.MEMCPY, Kind.MEMCPY_PEER, Kind.MEMSET, Kind.KERNEL,
)  # fmt: skip

DOMAINS = {Kind.RUNTIME: binding.RUNTIME_DOMAIN, Kind.DRIVER: binding.DRIVER_DOMAIN}

_marks = itertools.count(1 << 62)
_pool: BufferPool | None = None


def pool() -> BufferPool:
    """The buffers of this process. CUPTI may hold some between recordings: they stay for good."""
    global _pool
    if _pool is None:
        _pool = BufferPool()
    return _pool


class Session:
    """Context manager: CUPTI records between entering and leaving.

    Args:
        cupti: the mapped library.
        share: go on where another holds the callback subscription.
        apis: which API calls are recorded.
        nvtx: also record NVTX ranges, which reach CUPTI only where it was injected into NVTX.

    Attributes:
        filled: buffers with records; give them back through ``pool().recycle``.
        log: the regions of this time.
        backward: the backward passes of this time.
        captures: what CUPTI tells about graphs; None where another holds the subscription.
        marks: external ids of the launches at the start and at the end.
        began_ns: on the clock of the records.
        listened_until_ns: likewise, when region ids were no longer attached.
        dropped: records that CUPTI lost.
        process: id of the process that it records.
        problems: what went wrong without an exception.
        notes: what a reader should know.
        ended: whether it has been entered and left, in the process that entered it.
        costs: what switching on and off took, in µs.
    """

    def __init__(
        self,
        cupti: binding.Cupti,
        *,
        share: bool = False,
        apis: Apis = "launch",
        nvtx: bool = False,
    ) -> None:
        self._cupti = cupti
        self._share = share
        self._wanted = RECORDED[apis]
        self._kinds = (*APIS, Kind.MARKER, *KINDS[len(APIS) :]) if nvtx else KINDS
        self._stack = ExitStack()
        self._probe: Any = None
        self.process = os.getpid()
        self.log = RegionLog(cupti.timestamp)
        self.ids = RegionIds(cupti)
        self.captures: captures.Captures | None = None
        self.backward = BackwardLog()
        self.filled: list[Filled] = []
        self.marks: list[int] = []
        self.began_ns = 0
        self.listened_until_ns = 0
        self.dropped = 0
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.costs: dict[str, float] = {}
        self._refused = pool().refused
        self.ended = False

    def __enter__(self) -> Session:
        began = time.perf_counter_ns()
        with self._stack:  # an error while entering undoes what has been done so far
            self._enter()
            self._stack = self._stack.pop_all()
        # Left open until Python ends, CUPTI's thread would call into an interpreter that is gone.
        atexit.register(self._abandon)
        self.costs["start_us"] = (time.perf_counter_ns() - began) / 1e3
        return self

    def _enter(self) -> None:
        undo = self._stack.callback
        self.captures = self._subscribe()
        self._probe = probe_tensor()
        synchronise_devices()
        self._cupti.register_buffers(pool().lend, pool().size, pool().take_back)
        self._cupti.flush()
        pool().recycle(pool().collect())  # left over from before; not of this recording
        mark_traced("cupti")
        if not drops_are_counted(self._cupti, pool(), self._launch_and_wait):
            self.problems.append("CUPTI did not count a record that was dropped on purpose")
        self._cupti.dropped()
        self._cupti.use_system_thread_ids()
        mapped_now()  # slow the first time: not when the recording ends
        self.began_ns = self._cupti.timestamp()
        undo(self._collect)
        for kind in self._kinds:
            self._cupti.enable(kind)
            undo(self._cupti.disable, kind)
            if kind in APIS:
                self._cupti.keep_apis(DOMAINS[kind], self._wanted)
        undo(self._finish_work)
        # CUPTI asks for its first buffer on the launching thread: let it do so here, not inside
        # the caller's first launch. That launch also proves that the records reach our buffers.
        self._mark()
        self._listen(undo)
        self.backward = self._stack.enter_context(watch_backward(self._cupti.timestamp))
        if self.captures is not None:
            self.captures.backward = self.backward
            self.captures.nodes_made = 0

    def _subscribe(self) -> captures.Captures | None:
        try:
            return self._stack.enter_context(captures.subscribed(self._cupti))
        except RecorderBusyError as error:
            # Kineto keeps the subscription when it stops, and then does not use it.
            if not self._share and "kineto" not in traced_by():
                raise
            self.notes.append(f"recorded although {error.what}")
            return None

    def _listen(self, undo: Callable[..., Any]) -> None:
        undo(self.ids.detach_rest)
        for region in open_regions():
            self.ids.opened(region)
        add_listener(self.ids)
        undo(remove_listener, self.ids)
        self._stack.enter_context(self.log)
        undo(self._stop_listening)

    def _stop_listening(self) -> None:
        self.listened_until_ns = self._cupti.timestamp()

    def _launch_and_wait(self) -> None:
        self._probe.fill_(1)
        synchronise_devices()

    def _mark(self) -> None:
        mark = next(_marks)
        self._cupti.push(MARK, mark)
        try:
            self._probe.fill_(1)
        finally:
            self._cupti.pop(MARK)
        self.marks.append(mark)

    def _finish_work(self) -> None:
        self._mark()
        # An activity that is still running would come back without an end.
        synchronise_devices()

    def _collect(self) -> None:
        self._cupti.flush()
        self.dropped = self._cupti.dropped()
        self.filled = pool().collect()
        self.problems += self.ids.problems
        self.problems += self._cupti.take_callback_errors()
        if pool().refused > self._refused:
            self.problems.append(f"all {pool().limit} buffers were full")

    def _abandon(self) -> None:
        if os.getpid() == self.process:
            self._stack.close()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        atexit.unregister(self._abandon)
        if os.getpid() != self.process:
            return  # a fork: CUDA does not work here, and the recording is the parent's
        began = time.perf_counter_ns()
        try:
            # The stack runs every step, also when the device has failed and one of them raises.
            self._stack.__exit__(exc_type, exc, traceback)
        finally:
            self.costs["stop_us"] = (time.perf_counter_ns() - began) / 1e3
            self.ended = True
