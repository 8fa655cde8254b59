"""One stretch of recording: everything that is switched on is switched off again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from harness.errors import RecorderBusyError
from harness.record.cupti import binding
from harness.record.cupti.apis import puts_work_on_device
from harness.record.cupti.attribution import MARK, REGION
from harness.record.cupti.buffers import BufferPool, Filled
from harness.record.cupti.layout import Kind
from harness.record.regions import (
    OpenRegion,
    RegionLog,
    add_listener,
    open_regions,
    remove_listener,
)
from harness.record.state import mark_traced, torch_profiler_running, traced_by

# Chosen once: switching kinds between recordings can stop the node records of existing graphs.
# Copies come before peer copies, which need them.
KINDS = (
    Kind.KERNEL, Kind.MEMCPY, Kind.MEMCPY_PEER, Kind.MEMSET, Kind.RUNTIME, Kind.DRIVER,
    Kind.EXTERNAL_CORRELATION,
)  # fmt: skip

_marks = itertools.count(1 << 62)
_pool: BufferPool | None = None


def pool() -> BufferPool:
    """The buffers of this process. CUPTI may hold some between recordings: they stay for good."""
    global _pool
    if _pool is None:
        _pool = BufferPool()
    return _pool


def _probe_tensor() -> Any:
    """What the recorder's own launches fill; allocated before anything is recorded."""
    import torch

    return torch.zeros(1, device="cuda")


class RegionIds:
    """A listener that attaches the id of the innermost region to the thread's API calls."""

    def __init__(self, cupti: binding.Cupti) -> None:
        self._cupti = cupti
        self._attached: dict[int, int] = {}
        self.problems: list[str] = []

    def opened(self, region: OpenRegion) -> None:
        """Attach the id."""
        self._cupti.push(REGION, region.id)
        self._attached[region.id] = threading.get_ident()

    def closed(self, region: OpenRegion) -> None:
        """Detach it, unless the region was open before recording on a thread not asked then."""
        if self._attached.pop(region.id, None) is None:
            return
        if self._cupti.pop(REGION) != region.id:
            self.problems.append(
                f"region {region.name!r} was not the innermost when it ended: kernels near its "
                "end may be attributed to another region"
            )

    def detach_rest(self) -> None:
        """Detach what is still open on this thread."""
        here = threading.get_ident()
        for region, thread in list(self._attached.items()):
            if thread == here:
                del self._attached[region]
                self._cupti.pop(REGION)


class Session:
    """Context manager: CUPTI records between entering and leaving.

    Args:
        cupti: the mapped library.
        share: go on where another holds the callback subscription.

    Attributes:
        filled: buffers with records; give them back through ``pool().recycle``.
        log: the regions of this time.
        marks: external ids of the launches at the start and at the end.
        dropped: records that CUPTI lost.
        problems: what went wrong without an exception.
        notes: what a reader should know.
        ended: whether it has been entered and left.
        costs: what switching on and off took, in µs.
    """

    def __init__(self, cupti: binding.Cupti, *, share: bool = False) -> None:
        self._cupti = cupti
        self._share = share
        self._stack = ExitStack()
        self._probe: Any = None
        self.log = RegionLog(cupti.timestamp)
        self.ids = RegionIds(cupti)
        self.filled: list[Filled] = []
        self.marks: list[int] = []
        self.dropped = 0
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.costs: dict[str, float] = {}
        self.ended = False

    def __enter__(self) -> Session:
        began = time.perf_counter_ns()
        with self._stack:  # an error while entering undoes what has been done so far
            self._enter()
            self._stack = self._stack.pop_all()
        self.costs["start_us"] = (time.perf_counter_ns() - began) / 1e3
        return self

    def _enter(self) -> None:
        import torch

        if torch_profiler_running():
            raise RecorderBusyError(
                "torch.profiler is running, and CUPTI gives its records to one of the two only",
                fix="record outside torch.profiler, or with --recorder kineto",
            )
        undo = self._stack.callback
        self._subscribe(undo)
        self._probe = _probe_tensor()
        torch.cuda.synchronize()
        self._cupti.register_buffers(pool().lend, pool().size, pool().take_back)
        self._cupti.flush()
        pool().recycle(pool().collect())  # left over from before; not of this recording
        self._cupti.dropped()
        self._cupti.use_system_thread_ids()
        mark_traced("cupti")
        undo(self._collect)
        for kind in KINDS:
            self._cupti.enable(kind)
            undo(self._cupti.disable, kind)
        self._cupti.keep_apis(binding.RUNTIME_DOMAIN, puts_work_on_device)
        self._cupti.keep_apis(binding.DRIVER_DOMAIN, puts_work_on_device)
        undo(self._finish_work)
        # CUPTI asks for its first buffer on the launching thread: let it do so here, not inside
        # the caller's first launch. That launch also proves that the records reach our buffers.
        self._mark()
        self._listen(undo)

    def _subscribe(self, undo: Callable[..., Any]) -> None:
        try:
            handle = self._cupti.subscribe()
        except RecorderBusyError as error:
            # Kineto keeps the subscription when it stops, and then does not use it.
            if not self._share and "kineto" not in traced_by():
                raise
            self.notes.append(f"recorded although {error.what}")
        else:
            undo(self._cupti.unsubscribe, handle)

    def _listen(self, undo: Callable[..., Any]) -> None:
        undo(self.ids.detach_rest)
        for region in open_regions():
            self.ids.opened(region)
        add_listener(self.ids)
        undo(remove_listener, self.ids)
        self._stack.enter_context(self.log)

    def _mark(self) -> None:
        mark = next(_marks)
        self._cupti.push(MARK, mark)
        try:
            self._probe.fill_(1)
        finally:
            self._cupti.pop(MARK)
        self.marks.append(mark)

    def _finish_work(self) -> None:
        import torch

        self._mark()
        # An activity that is still running would come back without an end.
        torch.cuda.synchronize()
        self._cupti.flush()

    def _collect(self) -> None:
        self._cupti.flush()
        self.dropped = self._cupti.dropped()
        self.filled = pool().collect()
        self.problems += self.ids.problems

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        began = time.perf_counter_ns()
        try:
            # The stack runs every step, also when the device has failed and one of them raises.
            self._stack.__exit__(exc_type, exc, traceback)
        finally:
            self.costs["stop_us"] = (time.perf_counter_ns() - began) / 1e3
            self.ended = True
