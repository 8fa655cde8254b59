"""The calls of libcupti; the only file that makes them.

Every call goes through ctypes to the one libcupti that is mapped already (torch brings it), so
that no second copy can answer.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.record.cupti.errors import MULTIPLE_SUBSCRIBERS, QUEUE_EMPTY, busy, error_of

DRIVER_DOMAIN, RUNTIME_DOMAIN = 1, 2
CUSTOM0, CUSTOM1 = 3, 4
_THREAD_ID_SYSTEM = 1

_Subscriber = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p
)
_Request = ctypes.CFUNCTYPE(
    None,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.POINTER(ctypes.c_size_t),
    ctypes.POINTER(ctypes.c_size_t),
)
_Complete = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t
)

_ARGUMENTS: dict[str, list[Any]] = {
    "cuptiGetVersion": [ctypes.c_void_p],
    "cuptiGetTimestamp": [ctypes.c_void_p],
    "cuptiGetResultString": [ctypes.c_int, ctypes.c_void_p],
    "cuptiGetCallbackName": [ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p],
    "cuptiSetThreadIdType": [ctypes.c_int],
    "cuptiSubscribe": [ctypes.c_void_p, _Subscriber, ctypes.c_void_p],
    "cuptiSubscribe_v2": [ctypes.c_void_p, _Subscriber, ctypes.c_void_p, ctypes.c_void_p],
    "cuptiUnsubscribe": [ctypes.c_void_p],
    "cuptiActivityRegisterCallbacks": [_Request, _Complete],
    "cuptiActivityEnable": [ctypes.c_int],
    "cuptiActivityDisable": [ctypes.c_int],
    "cuptiActivityEnableRuntimeApi": [ctypes.c_uint32, ctypes.c_uint8],
    "cuptiActivityEnableDriverApi": [ctypes.c_uint32, ctypes.c_uint8],
    "cuptiActivityFlushAll": [ctypes.c_uint32],
    "cuptiActivityGetNextRecord": [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p],
    "cuptiActivityGetNumDroppedRecords": [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p],
    "cuptiActivityPushExternalCorrelationId": [ctypes.c_int, ctypes.c_uint64],
    "cuptiActivityPopExternalCorrelationId": [ctypes.c_int, ctypes.c_void_p],
}


class _SubscriberParams(ctypes.Structure):
    _fields_ = (
        ("structSize", ctypes.c_size_t),
        ("subscriberName", ctypes.c_char_p),
        ("oldSubscriberName", ctypes.c_void_p),
        ("oldSubscriberSize", ctypes.c_size_t),
    )


def _ignore(*_arguments: object) -> None:
    """The callback of a subscription that is only held, so that nobody else takes it."""


class Cupti:
    """The mapped libcupti.

    Every method raises what `harness.record.cupti.errors.error_of` makes of a failing call.

    Args:
        path: the library, already mapped.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lib = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        for name, arguments in _ARGUMENTS.items():
            function = getattr(self._lib, name, None)
            if function is not None:
                function.argtypes = arguments
        self._subscriber_callback = _Subscriber(_ignore)
        self._callbacks: tuple[Any, Any] | None = None

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

    def subscribe(self) -> int:
        """Hold the one callback subscription of this process, with nothing enabled in it.

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
        return handle.value or 0

    def unsubscribe(self, handle: int) -> None:
        """Let the subscription go."""
        self._call("cuptiUnsubscribe", handle)

    def holder(self) -> str:
        """Name of whoever holds the subscription; empty when nobody does or CUPTI keeps quiet."""
        subscribe = getattr(self._lib, "cuptiSubscribe_v2", None)
        if subscribe is None:
            return ""
        name = ctypes.create_string_buffer(128)
        params = _SubscriberParams(
            ctypes.sizeof(_SubscriberParams), b"harness", ctypes.addressof(name), len(name)
        )
        handle = ctypes.c_void_p()
        code = subscribe(
            ctypes.byref(handle), self._subscriber_callback, None, ctypes.byref(params)
        )
        if code == 0:
            self.unsubscribe(handle.value or 0)
            return ""
        return name.value.decode(errors="replace")

    def register_buffers(
        self, lend: Callable[[], int], size: int, take_back: Callable[[int, int], None]
    ) -> None:
        """Have CUPTI take its buffers from ``lend`` and give them to ``take_back``.

        The last registration in a process wins, silently: so it is repeated at every start. The
        callback objects are made once and live as long as the process, for CUPTI's thread may call
        them at any time.
        """
        if self._callbacks is None:

            def request(buffer: Any, length: Any, most_records: Any) -> None:
                address = lend()
                buffer[0] = address or None
                length[0] = size if address else 0
                most_records[0] = 0  # no limit: fill the buffer

            def complete(_context: Any, _stream: int, buffer: int, _size: int, valid: int) -> None:
                take_back(buffer, valid)

            self._callbacks = (_Request(request), _Complete(complete))
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


def name_at(pointer: int) -> str:
    """The kernel name that a record points to; it stays valid while its module is loaded."""
    return ctypes.string_at(pointer).decode(errors="replace") if pointer else ""
