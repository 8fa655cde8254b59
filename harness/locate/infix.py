"""Every place in a long list where a short one stands, a few edits aside. The one user of edlib.

edlib (Sosic and Sikic, Bioinformatics 2017) aligns the short list with any part of the long one
(its mode HW, "infix") at unit costs, bit-parallel, and gives all parts of the least distance. The
stretches between those are searched again, for larger distances, until none within the limit is
left; so parts do not overlap, and closer ones come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError, MissingPackageError

MOST_NAMES = 255
"""Different names of the short list that edlib can tell apart; one more stands for all others."""

FOREIGN = MOST_NAMES
"""Code of a name that the short list does not have."""


@dataclass(frozen=True)
class Part:
    """A part of the long list.

    Attributes:
        start, stop: its places [start, stop): from the first that is matched to the last.
        distance: insertions, deletions and replacements that make it the short list.
        matched: places in the long list of what both have, ascending.
    """

    start: int
    stop: int
    distance: int
    matched: tuple[int, ...]


class Coder:
    """Names as bytes: those of the short list 0, 1, ..., every other one `FOREIGN`.

    Raises:
        InputError: the short list has more than `MOST_NAMES` different names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        different = dict.fromkeys(names)
        if len(different) > MOST_NAMES:
            raise InputError(
                f"the mock launches {len(different)} different kernels, and {MOST_NAMES} can be "
                "told apart",
                fix="pass the Trace of one operator, not of a whole model",
            )
        self._codes = {name: code for code, name in enumerate(different)}

    def encode(self, names: Sequence[str]) -> bytes:
        """One byte per name."""
        get = self._codes.get
        return bytes([get(name, FOREIGN) for name in names])


def parts(short: bytes, long: bytes, most: int) -> Iterator[Part]:
    """Parts of ``long`` that are ``short`` but for at most ``most`` edits, none overlapping.

    Of overlapping ones of the same distance the one that ends first is taken.
    """
    todo = [(0, len(long))]
    while todo:
        begin, end = todo.pop()
        if end - begin < len(short) - most:
            continue
        found = _align(short, long[begin:end], "locations", most)
        if found["editDistance"] < 0:
            continue
        cut = begin
        for first, last in _apart(found["locations"]):
            yield _part(short, long, begin + first, begin + last + 1)
            todo.append((cut, begin + first))
            cut = begin + last + 1
        if cut > begin:
            todo.append((cut, end))


def closest(short: bytes, long: bytes) -> Part | None:
    """The part of the least distance; None where the lists have nothing in common."""
    if not set(short) & set(long):
        return None
    found = _align(short, long, "locations", -1)
    first, last = next(_apart(found["locations"]), (0, len(long) - 1))
    return _part(short, long, first, last + 1)


def distance(one: bytes, other: bytes) -> int:
    """Edits between two whole lists."""
    if not one or not other:
        return max(len(one), len(other))
    return int(_align(one, other, "distance", -1, mode="NW")["editDistance"])


def _apart(locations: Sequence[tuple[int | None, int]]) -> Iterator[tuple[int, int]]:
    free = 0
    for first, last in sorted(locations, key=lambda one: one[1]):
        begin = 0 if first is None else first
        if begin >= free and last >= begin:
            yield begin, last
            free = last + 1


def _part(short: bytes, long: bytes, start: int, stop: int) -> Part:
    """Where exactly the two agree; what is not matched at the ends is not part of it."""
    found = _align(short, long[start:stop], "path", -1, mode="NW")
    place = start
    matched: list[int] = []
    for count, kind in _operations(found["cigar"] or ""):
        if kind == "=":
            matched += range(place, place + count)
        if kind != "I":  # I: only the short list has it
            place += count
    if not matched:
        return Part(start, stop, found["editDistance"], ())
    first, last = matched[0], matched[-1]
    # what is trimmed and was an insertion is no edit any more; a replacement stays a deletion
    outside = _align(short, long[first : last + 1], "distance", -1, mode="NW")["editDistance"]
    return Part(first, last + 1, outside, tuple(matched))


def _operations(cigar: str) -> Iterator[tuple[int, str]]:
    number = ""
    for char in cigar:
        if char.isdigit():
            number += char
        else:
            yield int(number), char
            number = ""


def _align(short: bytes, long: bytes, task: str, most: int, mode: str = "HW") -> dict[str, Any]:
    try:
        import edlib
    except ImportError as error:
        raise MissingPackageError(
            f"an operator cannot be located by its kernels without edlib ({error})",
            fix="run: pip install 'edlib>=1.3.9'",
        ) from error
    found: dict[str, Any] = edlib.align(short, long, mode=mode, task=task, k=most)
    return found
