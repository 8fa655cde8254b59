"""The calls of libcupti; the only file that makes them.

Every call goes through ctypes to the one libcupti that is mapped already (torch brings it), so
that no second copy can answer.
"""

from __future__ import annotations

import _thread
import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from harness.errors import HarnessError
from harness.record.cupti.errors import MULTIPLE_SUBSCRIBERS, QUEUE_EMPTY, busy, error_of
from harness.record.cupti.holders import named
from harness.record.cupti.prototypes import (
    ARGUMENTS,
    Complete,
    GraphData,
    Request,
    ResourceData,
    Subscriber,
    SubscriberParams,
)

DRIVER_DOMAIN, RUNTIME_DOMAIN = 1, 2
CUSTOM0, CUSTOM1 = 3, 4
_THREAD_ID_SYSTEM = 1
_RESOURCE_DOMAIN = 3

# CUpti_CallbackIdResource
GRAPH_ENDING, NODE_CREATED, EXECUTABLE_ENDING, NODE_CLONED = 10, 13, 19, 20
GRAPH_CALLBACKS = (GRAPH_ENDING, NODE_CREATED, EXECUTABLE_ENDING, NODE_CLONED)


class GraphListener(Protocol):
    """Told what happens to CUDA graphs; ids are those of the records."""

    def created(self, node: int, kind: int | None) -> None:
        """A node was added. ``kind`` is its CUgraphNodeType, None where it cannot be told."""
        ...

    def cloned(self, node: int, original: int) -> None:
        """A node, announced as created just before, is the copy of another."""
        ...

    def ended(self, graph: int) -> None:
        """A graph or an executable graph is about to be destroyed."""
        ...


class Cupti:
    """The mapped libcupti.

    Every method raises what `harness.record.cupti.errors.error_of` makes of a failing call.

    Args:
        path: the library, already mapped.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lib = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._driver.cuGraphNodeGetType.argtypes = [ctypes.c_uint64, ctypes.c_void_p]
        for name, arguments in ARGUMENTS.items():
            function = getattr(self._lib, name, None)
            if function is not None:
                function.argtypes = arguments
        self._on_graph: GraphListener | None = None
        self._subscriber_callback = Subscriber(self._called_back)
        self._callbacks: tuple[Any, Any] | None = None
        self._callback_errors: list[str] = []

    def _call(self, name: str, *arguments: Any) -> None:
        code = int(getattr(self._lib, name)(*arguments))
        if code:
            raise error_of(name, code, self._meaning(code))

    def _meaning(self, code: int) -> str:
        text = ctypes.c_char_p()
        self._lib.cuptiGetResultString(code, ctypes.byref(text))
        return (text.value or b"").decode(errors="replace")

    def version(self) -> int:
        """130001 for CUDA 13.0 with CUPTI update 1."""
        value = ctypes.c_uint32()
        self._call("cuptiGetVersion", ctypes.byref(value))
        return value.value

    def timestamp(self) -> int:
        """Now in ns, on the clock of the records."""
        value = ctypes.c_uint64()
        self._call("cuptiGetTimestamp", ctypes.byref(value))
        return value.value

    def subscribe(self, on_graph: GraphListener | None = None) -> int:
        """Hold the one callback subscription of this process.

        Args:
            on_graph: told of the nodes of CUDA graphs, on the thread that makes them, inside the
                driver: it must be quick, call no CUDA, and raise nothing.

        Returns:
            The handle for `unsubscribe`.

        Raises:
            RecorderBusyError: somebody else holds it.
        """
        handle = ctypes.c_void_p()
        code = self._lib.cuptiSubscribe(ctypes.byref(handle), self._subscriber_callback, None)
        if code == MULTIPLE_SUBSCRIBERS:
            raise busy(self.holder())
        if code:
            raise error_of("cuptiSubscribe", code, self._meaning(code))
        self._on_graph = on_graph
        try:
            for callback in GRAPH_CALLBACKS if on_graph else ():
                self._call("cuptiEnableCallback", 1, handle, _RESOURCE_DOMAIN, callback)
        except HarnessError:
            self.unsubscribe(handle.value or 0)
            raise
        return handle.value or 0

    def unsubscribe(self, handle: int) -> None:
        """Let the subscription go."""
        self._call("cuptiUnsubscribe", handle)
        self._on_graph = None

    def _called_back(self, _user: Any, _domain: int, callback: int, data: int) -> None:
        try:
            self._tell(callback, data)
        except BaseException as error:  # noqa: BLE001  there is no caller to raise to
            self._note_callback_error(error)

    def _note_callback_error(self, error: BaseException) -> None:
        """Called by C, a function cannot raise: what it would have raised is lost. Ctrl-C is asked
        for again, anything else makes the recording incomplete."""
        if isinstance(error, KeyboardInterrupt):
            _thread.interrupt_main()
        self._callback_errors.append(f"a CUPTI callback failed: {type(error).__name__}: {error}")

    def take_callback_errors(self) -> list[str]:
        """What went wrong in callbacks since the last call."""
        errors, self._callback_errors = self._callback_errors, []
        return errors

    def _tell(self, callback: int, data: int) -> None:
        listener = self._on_graph
        descriptor = ResourceData.from_address(data).descriptor if data else 0
        if listener is None or not descriptor:
            return
        about = GraphData.from_address(descriptor)
        if callback == NODE_CREATED:
            listener.created(self._node_id(about.node), self._node_kind(about.node))
        elif callback == NODE_CLONED:
            listener.cloned(self._node_id(about.node), self._node_id(about.original_node))
        elif callback == GRAPH_ENDING:
            listener.ended(self._graph_id("cuptiGetGraphId", about.graph))
        elif callback == EXECUTABLE_ENDING:
            listener.ended(self._graph_id("cuptiGetGraphExecId", about.graph_exec))

    def _node_id(self, node: int) -> int:
        value = ctypes.c_uint64()
        self._lib.cuptiGetGraphNodeId(node, ctypes.byref(value))
        return value.value

    def _graph_id(self, function: str, graph: int) -> int:
        value = ctypes.c_uint32()
        getattr(self._lib, function)(graph, ctypes.byref(value))
        return value.value

    def _node_kind(self, node: int) -> int | None:
        """CUgraphNodeType, from the driver: CUPTI 13.0 does not fill the field it has for it."""
        value = ctypes.c_int(-1)
        code = self._driver.cuGraphNodeGetType(node, ctypes.byref(value))
        return None if code else value.value

    def holder(self) -> str:
        """Name of whoever holds the subscription; empty when nobody does or CUPTI keeps quiet."""
        subscribe = getattr(self._lib, "cuptiSubscribe_v2", None)
        if subscribe is None:
            return ""
        name = ctypes.create_string_buffer(128)
        params = SubscriberParams(
            ctypes.sizeof(SubscriberParams), b"harness", ctypes.addressof(name), len(name)
        )
        handle = ctypes.c_void_p()
        code = subscribe(
            ctypes.byref(handle), self._subscriber_callback, None, ctypes.byref(params)
        )
        if code == 0:
            self.unsubscribe(handle.value or 0)
            return ""
        return named(name.value.decode(errors="replace"))

    def register_buffers(
        self, lend: Callable[[], int], size: int, take_back: Callable[[int, int], None]
    ) -> None:
        """Have CUPTI take its buffers from ``lend`` and give them to ``take_back``.

        The last registration in a process wins, silently: so it is repeated at every start. The
        callback objects are made at the first call, of what is given then, and live as long as the
        process, for CUPTI's thread may call them at any time.
        """
        if self._callbacks is None:

            def request(buffer: Any, length: Any, most_records: Any) -> None:
                buffer[0], length[0] = None, 0
                most_records[0] = 0  # no limit: fill the buffer
                try:
                    address = lend()
                    if address:
                        buffer[0], length[0] = address, size
                except BaseException as error:  # noqa: BLE001  there is no caller to raise to
                    self._note_callback_error(error)

            def complete(_context: Any, _stream: int, buffer: int, _size: int, valid: int) -> None:
                try:
                    take_back(buffer, valid)
                except BaseException as error:  # noqa: BLE001  there is no caller to raise to
                    self._note_callback_error(error)

            self._callbacks = (Request(request), Complete(complete))
        self._call("cuptiActivityRegisterCallbacks", *self._callbacks)

    def use_system_thread_ids(self) -> None:
        """Report threads as gettid() does (`threading.get_native_id`), not as pthread handles."""
        self._call("cuptiSetThreadIdType", _THREAD_ID_SYSTEM)

    def enable(self, kind: int) -> None:
        """Start recording a kind of activity; for API kinds this forgets what was filtered."""
        self._call("cuptiActivityEnable", kind)

    def disable(self, kind: int) -> None:
        """Stop recording a kind of activity."""
        self._call("cuptiActivityDisable", kind)

    def keep_apis(self, domain: int, wanted: Callable[[str], bool]) -> int:
        """Of an API kind that has just been enabled, go on with the wanted calls only.

        Returns:
            How many calls stay.
        """
        runtime = domain == RUNTIME_DOMAIN
        name = "cuptiActivityEnableRuntimeApi" if runtime else "cuptiActivityEnableDriverApi"
        switch = getattr(self._lib, name)
        kept = 0
        for cbid, api in self.api_names(domain).items():
            if wanted(api):
                kept += 1
            elif code := switch(cbid, 0):
                raise error_of(name, int(code), self._meaning(code))
        return kept

    @functools.cache  # noqa: B019  one object per process, made by `load`
    def api_names(self, domain: int) -> dict[int, str]:
        """Names of all calls of a domain by callback id, as the mapped library knows them."""
        names: dict[int, str] = {}
        text = ctypes.c_char_p()
        cbid = 1
        while self._lib.cuptiGetCallbackName(domain, cbid, ctypes.byref(text)) == 0:
            names[cbid] = (text.value or b"").decode(errors="replace")
            cbid += 1
        return names

    def flush(self) -> None:
        """Get back every buffer whose activities have ended; synchronise the device before."""
        self._call("cuptiActivityFlushAll", 0)

    def dropped(self) -> int:
        """Records lost since the last call."""
        value = ctypes.c_size_t()
        self._call("cuptiActivityGetNumDroppedRecords", None, 0, ctypes.byref(value))
        return value.value

    def push(self, kind: int, identifier: int) -> None:
        """Attach ``identifier`` to the API calls of this thread, until it is popped."""
        self._call("cuptiActivityPushExternalCorrelationId", kind, identifier)

    def pop(self, kind: int) -> int | None:
        """Detach the innermost id of this thread; None when there was none."""
        value = ctypes.c_uint64()
        code = self._lib.cuptiActivityPopExternalCorrelationId(kind, ctypes.byref(value))
        if code == QUEUE_EMPTY:
            return None
        if code:
            raise error_of("cuptiActivityPopExternalCorrelationId", code, self._meaning(code))
        return value.value

    def record_sizes(self) -> dict[int, int]:
        """Size in bytes of a record of each kind, as this library itself steps over them.

        A buffer in which every word names the same kind is walked by one step: the distance is the
        size, whichever version of libcupti is mapped. Kinds that it does not step over are absent.
        """
        words = np.empty(1024, np.uint64)
        base = int(words.ctypes.data)
        sizes = {}
        for kind in range(1, 64):
            words[:] = kind
            at = ctypes.c_void_p()
            for _ in range(2):
                code = self._lib.cuptiActivityGetNextRecord(base, words.nbytes, ctypes.byref(at))
            if code == 0 and at.value and 8 <= at.value - base < words.nbytes:
                sizes[kind] = at.value - base
        return sizes
