"""Events of a trace as msgspec decodes them, with only the fields that are read."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from harness.record.files.kineto.scan import MalformedError

_NONE = msgspec.Raw(b"")


class Event(msgspec.Struct, gc=False):
    """One element of ``traceEvents``.

    Attributes:
        ph: phase; ``X`` is an event with a duration, ``M`` names a process or thread.
        ts, dur: text of the numbers, µs; empty where there is none.
        args: text of the object; empty where there is none.
    """

    ph: str | None = None
    cat: str | None = None
    name: Any = None
    pid: Any = None
    tid: Any = None
    ts: msgspec.Raw = _NONE
    dur: msgspec.Raw = _NONE
    args: msgspec.Raw = _NONE


_Dim3 = tuple[int, int, int] | None


class Launch(msgspec.Struct, gc=False):
    """Arguments of kernels, copies, fills and API calls, as Kineto names them.

    Memory in bytes. A copy between devices has ``inDevice`` and ``inContext`` in old files.
    What comes after ``bytes`` is not Kineto's; `harness.report.perfetto` adds it.
    """

    device: int | None = None
    in_device: int | None = msgspec.field(name="inDevice", default=None)
    context: int | None = None
    in_context: int | None = msgspec.field(name="inContext", default=None)
    stream: int | None = None
    correlation: int | None = None
    graph: int | None = msgspec.field(name="graph id", default=None)
    graph_node: int | None = msgspec.field(name="graph node id", default=None)
    grid: _Dim3 = None
    block: _Dim3 = None
    shared: int | None = msgspec.field(name="shared memory", default=None)
    registers: int | None = msgspec.field(name="registers per thread", default=None)
    bytes: int | None = None
    cluster: _Dim3 = None
    static: int | None = msgspec.field(name="static shared memory", default=None)
    dynamic: int | None = msgspec.field(name="dynamic shared memory", default=None)
    process: int | None = None
    symbol: str | None = None
    value: int | None = None
    return_code: int | None = None


class Label(msgspec.Struct, gc=False):
    """Arguments of events that name a process or thread."""

    name: str = ""


_events = msgspec.json.Decoder(list[Event])
_launch = msgspec.json.Decoder(Launch, strict=False)
_label = msgspec.json.Decoder(Label)


def decode(array: bytes) -> list[Event]:
    """Decode an array of events.

    Raises:
        MalformedError: it is no JSON array of objects with texts for ``ph`` and ``cat``.
    """
    try:
        return _events.decode(array)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(str(error)) from error


_NO_NUMBER = re.compile(r'("(?:[^"\\]|\\.)*+")|-?\b(?:nan|inf)\b', re.DOTALL)
_lenient = json.JSONDecoder(
    strict=False,
    parse_float=lambda digits: msgspec.Raw(digits.encode()),
    parse_constant=lambda _: None,
)


def repaired(text: bytes) -> bytes:
    """JSON for what Kineto has written though it is none.

    That is ``nan``, ``inf`` and the like for numbers, which become null, control characters in
    strings, which stay, and bytes that are no UTF-8, which are replaced. Other numbers keep their
    digits.

    Raises:
        MalformedError: something else is wrong.
    """
    plain = _NO_NUMBER.sub(lambda found: found[1] or "null", text.decode("utf-8", "replace"))
    try:
        return msgspec.json.encode(_lenient.decode(plain))
    except (ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as error:
        raise MalformedError(str(error)) from error


def decode_value(text: bytes) -> Any:
    """A member of the root.

    Raises:
        MalformedError: it is no JSON.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(str(error)) from error


def launch_of(event: Event) -> Launch:
    """The arguments of a device activity or API call.

    Raises:
        MalformedError: one of them has another type.
    """
    if not event.args:
        return Launch()
    try:
        return _launch.decode(event.args)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"{str(event.name)[:80]!r}: {error}") from error


def label_of(event: Event) -> str:
    """The name that an event of phase ``M`` gives; empty where it gives none."""
    try:
        return _label.decode(event.args).name if event.args else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
