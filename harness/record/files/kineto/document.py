"""A JSON trace in batches of its events, streamed.

The array of events is cut where an event seems to end, and each piece is decoded as an array of
its own. That proves the cut: reading JSON from left to right leaves one state at each byte, so a
piece that begins at an element and is whole once ``]`` is put behind it ends at an element, neither
in a string nor deeper. Only where decoding fails are brackets counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from harness.errors import TraceFormatError
from harness.record.files.kineto.events import Event, decode, decode_value, repaired
from harness.record.files.kineto.scan import MalformedError, elements_end, guess, value_end
from harness.record.files.kineto.source import CHUNK, Source

T = TypeVar("T")

EVENTS = "traceEvents"

LARGEST = 8 * CHUNK
"""Bytes that one event or one other member of the file may take."""

_SMALL = 1 << 18
"""Pieces for which brackets are counted; that is some ten times slower than decoding."""

_DAMAGED = "copy the file again, or record it again"


class Document:
    """A file in the JSON object format or the JSON array format of the Trace Event Format.

    Args:
        source: of which nothing has been read.

    Attributes:
        header: members of the root beside the events; whole once all batches have been read.
        repaired: whether some piece was no JSON and was read leniently.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.header: dict[str, Any] = {}
        self.repaired = False

    def batches(self) -> Iterator[list[Event]]:
        """The events, in the order of the file.

        Raises:
            TraceFormatError: the file is empty, damaged or cut, or is no trace.
        """
        first = self._source.peek()
        if not first:
            raise TraceFormatError(f"{self._source.path} is empty", fix="record it again")
        if first == b"[":
            yield from self._array()
        elif first == b"{":
            yield from self._members()
        else:
            raise self._wrong("it is no JSON object or array", "pass a torch.profiler trace")
        if self._source.peek():
            raise self._damaged("something follows the end of the JSON")

    def _members(self) -> Iterator[list[Event]]:
        found = False
        for key in self._keys():
            if key != EVENTS:
                self._keep(key)
                continue
            if found or self._source.peek() != b"[":
                raise self._wrong(f"{EVENTS} is not one array", "pass a torch.profiler trace")
            found = True
            yield from self._array()
        if not found:
            raise self._wrong(
                f"it is JSON without {EVENTS}, so no trace", "pass a torch.profiler trace"
            )

    def _keys(self) -> Iterator[str]:
        """The keys of the root; between two the value has to be consumed."""
        self._take(b"{")
        if self._source.peek() == b"}":
            self._take(b"}")
            return
        while True:
            if self._source.peek() != b'"':
                raise self._damaged("a name of a member is missing")
            key = self._value()
            self._take(b":")
            yield str(self._decoded(key, decode_value))
            if self._source.peek() == b"}":
                self._take(b"}")
                return
            self._take(b",")

    def _keep(self, key: str) -> None:
        self._source.peek()
        self.header[key] = self._decoded(self._value(), decode_value)

    def _take(self, sign: bytes) -> None:
        found = self._source.peek()
        if found != sign:
            raise (
                self._damaged(f"expected {sign.decode()}, found {found!r}")
                if found
                else self._cut()
            )
        self._source.at += 1

    def _value(self) -> bytes:
        """The text of the value that begins here."""
        source = self._source
        while True:
            try:
                end = value_end(source.data, source.at)
            except MalformedError as error:
                raise self._damaged(str(error)) from error
            if end is not None:
                text = source.data[source.at : end]
                source.at = end
                return text
            self._read_on()

    def _read_on(self) -> None:
        if len(self._source.data) - self._source.at > LARGEST:
            raise self._damaged(f"what begins here does not end within {LARGEST >> 20} MiB")
        if not self._source.more():
            raise self._cut()

    def _array(self) -> Iterator[list[Event]]:
        self._take(b"[")
        if self._source.peek() == b"]":
            self._take(b"]")
            return
        while True:
            self._source.peek()
            yield self._batch()
            if self._source.peek() == b"]":
                self._take(b"]")
                return
            self._take(b",")

    def _batch(self) -> list[Event]:
        source = self._source
        source.fill()
        until = len(source.data)
        while until - source.at > _SMALL:
            cut = guess(source.data, source.at, until)
            if cut is not None:
                try:
                    events = decode(b"[" + source.data[source.at : cut] + b"]")
                except MalformedError:
                    until = cut
                else:
                    source.at = cut
                    return events
            until = source.at + (until - source.at) // 2
        return self._counted_batch()

    def _counted_batch(self) -> list[Event]:
        """Events up to a place found by counting brackets."""
        source = self._source
        while True:
            try:
                end = elements_end(source.data, source.at, source.at + _SMALL)
            except MalformedError as error:
                raise self._damaged(str(error)) from error
            if end is not None:
                break
            self._read_on()
        events = self._decoded(b"[" + source.data[source.at : end] + b"]", decode)
        source.at = end
        return events

    def _decoded(self, text: bytes, read: Callable[[bytes], T]) -> T:
        """Decode, leniently where need be."""
        try:
            return read(text)
        except MalformedError as error:
            try:
                found = read(repaired(text))
            except MalformedError:
                raise self._damaged(str(error)) from error
            self.repaired = True
            return found

    def _damaged(self, why: str) -> TraceFormatError:
        return self._wrong(f"from byte {self._source.offset} on: {why}", _DAMAGED)

    def _cut(self) -> TraceFormatError:
        return self._wrong(
            f"it ends too early, after byte {self._source.offset}",
            "let the profiler finish writing",
        )

    def _wrong(self, why: str, fix: str) -> TraceFormatError:
        return TraceFormatError(f"{self._source.path} cannot be read: {why}", fix=fix)
