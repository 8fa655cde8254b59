"""Regions: named stretches of host code that kernels are attributed to and that NVTX shows."""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ContextDecorator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from harness.record import nvtx
from harness.trace.schema import OUTSIDE, OUTSIDE_NAME

if TYPE_CHECKING:
    import torch

NVTX_DOMAIN = "harness"


@dataclass(frozen=True)
class OpenRegion:
    """A region that has been entered: process-wide id, name, id of the enclosing one."""

    id: int
    name: str
    parent: int | None


class RegionListener(Protocol):
    """Told, on the thread that does it, when a region is entered and left."""

    def opened(self, region: OpenRegion) -> None:
        """``region`` has just become the innermost of this thread."""
        ...

    def closed(self, region: OpenRegion) -> None:
        """``region`` is no longer open."""
        ...


_ids = itertools.count(1)


def new_region_id() -> int:
    """An id that no other region of this process has."""
    return next(_ids)


_local = threading.local()
_listeners: tuple[RegionListener, ...] = ()
_listeners_lock = threading.Lock()


class _Stack(list[OpenRegion]):
    """The open regions of one thread, outermost first."""

    __slots__ = ("__weakref__",)


_stacks: weakref.WeakValueDictionary[int, _Stack] = weakref.WeakValueDictionary()
"""By system thread id; a thread that ends takes its own along."""


def _stack() -> _Stack:
    if not hasattr(_local, "stack"):
        _local.stack = _Stack()
        _stacks[threading.get_native_id()] = _local.stack
    stack: _Stack = _local.stack
    return stack


def open_elsewhere() -> dict[int, tuple[OpenRegion, ...]]:
    """The regions that are open on other threads, outermost first, by system thread id."""
    mine = threading.get_native_id()
    return {thread: tuple(stack) for thread, stack in list(_stacks.items()) if thread != mine}


def open_regions() -> tuple[OpenRegion, ...]:
    """The regions that are open on this thread, outermost first."""
    return tuple(_stack())


def add_listener(listener: RegionListener) -> None:
    """Tell ``listener`` of every region from now on."""
    global _listeners
    with _listeners_lock:
        _listeners = (*_listeners, listener)


def remove_listener(listener: RegionListener) -> None:
    """Stop telling ``listener``; unknown ones are ignored."""
    global _listeners
    with _listeners_lock:
        _listeners = tuple(known for known in _listeners if known is not listener)


class region(ContextDecorator):  # noqa: N801  a context manager named like a verb, as in torch
    """``with region("name"):`` or ``@region("name")``: a named stretch of host code.

    Everything launched inside is attributed to it by whichever recorder runs, and an NVTX range
    of the same name in the domain ``harness`` shows it to nsys. Regions nest; each thread has
    its own stack. One object may be entered again and by several threads.

    Args:
        name: shown and matched on as it is.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @staticmethod
    def modules(
        model: torch.nn.Module, patterns: str | Sequence[str] = "*"
    ) -> AbstractContextManager[list[str]]:
        """``with region.modules(model, ["layers.*.self_attn"]):`` puts every forward of these
        submodules into a region named by its path; see `harness.record.modules.module_regions`."""
        from harness.record.modules import module_regions

        return module_regions(model, [patterns] if isinstance(patterns, str) else patterns)

    def _recreate_cm(self) -> region:
        return region(self.name)

    def __enter__(self) -> OpenRegion:
        stack = _stack()
        entered = OpenRegion(next(_ids), self.name, stack[-1].id if stack else None)
        nvtx.push(self.name, NVTX_DOMAIN)
        stack.append(entered)
        try:
            for listener in _listeners:
                listener.opened(entered)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return entered

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        left = _stack().pop()
        for listener in reversed(_listeners):
            listener.closed(left)
        nvtx.pop(NVTX_DOMAIN)


class RegionLog:
    """A listener that keeps every region as a row of a Trace's regions table.

    Args:
        clock: returns nanoseconds on the recorder's clock.

    Attributes:
        elsewhere: ids of the regions that were open on other threads when it began.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self.elsewhere: list[int] = []
        self._rows: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> RegionLog:
        add_listener(self)
        for entered in open_regions():
            self.opened(entered)
        for thread, regions in open_elsewhere().items():
            for entered in regions:
                if entered.id not in self._rows:  # not entered just now
                    self.opened(entered)
                    self._rows[entered.id]["thread"] = thread
                    self.elsewhere.append(entered.id)
        return self

    def __exit__(self, *_exc: object) -> None:
        remove_listener(self)

    def opened(self, region: OpenRegion) -> None:
        """Start a row."""
        self._rows[region.id] = {
            "id": region.id,
            "name": region.name,
            "parent": region.parent,
            "start_ns": self._clock(),
            "end_ns": None,
            "process": os.getpid(),
            "thread": threading.get_native_id(),
            "domain": NVTX_DOMAIN,
            "style": "PushPop",
        }

    def closed(self, region: OpenRegion) -> None:
        """Finish a row."""
        row = self._rows.get(region.id)
        if row is not None:
            row["end_ns"] = self._clock()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One mapping per region, in the order in which they were entered, after `OUTSIDE_ROW`."""
        return [dict(OUTSIDE_ROW), *self._rows.values()]


OUTSIDE_ROW: Mapping[str, Any] = {"id": OUTSIDE, "name": OUTSIDE_NAME, "domain": NVTX_DOMAIN}
"""The row of the regions table for what is launched outside every region."""


def _forget_in_child() -> None:
    global _listeners, _listeners_lock
    _listeners, _listeners_lock = (), threading.Lock()


# A recording is the parent's: a fork must not call into the parent's recorder.
os.register_at_fork(after_in_child=_forget_in_child)
