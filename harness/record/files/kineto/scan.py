"""Where a JSON value ends, without reading what it says: brackets are counted outside strings."""

from __future__ import annotations

import re

_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}"]', re.DOTALL)
_SCALAR = re.compile(rb"[^][{}\",\s]++")
_SPACE = re.compile(rb"\s*+")
_PARTNER = {b"}": b"{", b"]": b"["}

_BOUNDARY = re.compile(rb"\}\s*+,\s*+\{")
_TAIL = 1 << 16


class MalformedError(ValueError):
    """A stretch of a file is no JSON of the expected form; the message says where and why."""


def value_end(data: bytes, at: int) -> int | None:
    """The place after the JSON value that begins at ``at``; None where ``data`` ends before it.

    Raises:
        MalformedError: brackets do not match, or no value begins there.
    """
    if data[at : at + 1] in (b"{", b"["):
        return _container_end(data, at)
    found = (_TOKEN if data[at : at + 1] == b'"' else _SCALAR).match(data, at)
    if found is None:
        if at < len(data):
            raise MalformedError(f"no value begins with {data[at : at + 1]!r}")
        return None
    if found[0] == b'"' or (found[0][:1] != b'"' and found.end() == len(data)):
        return None  # an open string, or a number that may go on
    return found.end()


def _container_end(data: bytes, at: int) -> int | None:
    opened: list[bytes] = []
    for token in _TOKEN.finditer(data, at):
        sign = token[0]
        if sign == b'"':  # of a string that goes on behind the data
            return None
        if sign in (b"{", b"["):
            opened.append(sign)
        elif sign in _PARTNER:
            if opened.pop() != _PARTNER[sign]:
                raise MalformedError(f"a {sign.decode()} closes what it did not open")
            if not opened:
                return token.end()
    return None


def elements_end(data: bytes, at: int, enough: int) -> int | None:
    """The place after the last whole element of an array, from the one that begins at ``at`` on.

    Args:
        data: part of a file.
        at: where an element begins.
        enough: stop at the first element that ends behind this place.

    Returns:
        None where not even the first element is whole.

    Raises:
        MalformedError: as `value_end`.
    """
    last: int | None = None
    while (end := value_end(data, at)) is not None:
        last = end
        at = _skip_space(data, end)
        if end >= enough or data[at : at + 1] != b",":
            break
        at = _skip_space(data, at + 1)
    return last


def _skip_space(data: bytes, at: int) -> int:
    found = _SPACE.match(data, at)
    return found.end() if found else at


def guess(data: bytes, at: int, until: int) -> int | None:
    """A place in (at, until) where an element that is an object may end and another begin.

    It may also lie in a string or deeper; whoever decodes what lies before it finds out.
    """
    places = [
        found.start() + 1 for found in _BOUNDARY.finditer(data, max(at, until - _TAIL), until)
    ]
    return places[-1] if places else None
