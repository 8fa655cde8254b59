"""Edit scripts of two lists. The only file that imports pygit2.

The library is libgit2's diff (xdiff): Myers' O(ND) algorithm ("An O(ND) Difference Algorithm and
Its Variations", 1986) in memory that grows with the lists alone. Its script is the shortest where
the lists differ in `FEW` launches or less; beyond, git's limits on how long it searches apply.

Chosen by measurement on lists of 1,000,000 launches (benchmarks/alignment_libraries.py): any number
of different names, bounded time and memory. difflib finds 8,219 differences where 13 are the
fewest; edlib takes 256 names at most; rapidfuzz needs 55 s; Arrow's diff is exact, and its memory
grows with the square of the differences (3 GiB at 20,000).

Repeated blocks are not folded before: aligning equal blocks as wholes first takes 0.2 s in place of
1.2 s and makes 91,324 differences of 1,338, since of 61 equal layers any may stand for the edited
one. What repeats is folded in the result (`harness.align.changes`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import MissingPackageError

Ints = npt.NDArray[np.int64]

FEW = 50_000
"""Launches taken out and put in up to which the shortest script is searched for: the time of that
grows with their square, to 2.3 s at this number."""


class Edit(NamedTuple):
    """``first[start:stop]`` became ``second[new_start:new_stop]``; one of them may be empty."""

    start: int
    stop: int
    new_start: int
    new_stop: int

    @property
    def size(self) -> int:
        """Elements taken out and put in."""
        return self.stop - self.start + self.new_stop - self.new_start


def numbered(*lists: Sequence[Hashable]) -> list[Ints]:
    """Each list with numbers from 0 in place of its elements; equal elements get one number."""
    known: dict[Hashable, int] = {}
    found = [[known.setdefault(one, len(known)) for one in each] for each in lists]
    return [np.array(each, np.int64) for each in found]


def edits(first: Ints, second: Ints) -> list[Edit]:
    """What turns ``first`` into ``second``, in order; edits are apart from each other.

    Args:
        first, second: numbers of any size, shape (n,) and (m,).

    Raises:
        MissingPackageError: pygit2 is not installed.
    """
    if not len(first) or not len(second):
        return [Edit(0, len(first), 0, len(second))] if len(first) or len(second) else []
    if np.array_equal(first, second):
        return []
    texts = _lines(first), _lines(second)
    if len(first) + len(second) <= FEW:
        return _diff(*texts, shortest=True)
    found = _diff(*texts, shortest=False)
    few = sum(edit.size for edit in found) <= FEW
    return _diff(*texts, shortest=True) if few else found


def _diff(first: bytes, second: bytes, *, shortest: bool) -> list[Edit]:
    try:
        import pygit2
    except ImportError as error:
        raise MissingPackageError(
            f"kernel lists cannot be aligned ({error})", fix="run: pip install 'pygit2>=1.18'"
        ) from error
    option = pygit2.enums.DiffOption
    flag = option.FORCE_TEXT | (option.MINIMAL if shortest else 0)
    patch = pygit2.Patch.create_from(first, second, flag=flag, context_lines=0)
    return [
        _edit(hunk.old_start, hunk.old_lines, hunk.new_start, hunk.new_lines)
        for hunk in patch.hunks
    ]


def _edit(start: int, length: int, new_start: int, new_length: int) -> Edit:
    """A unified diff counts lines from 1, and names the line before where there is none."""
    start -= length > 0
    new_start -= new_length > 0
    return Edit(start, start + length, new_start, new_start + new_length)


def _lines(numbers: Ints) -> bytes:
    """One line of text per number."""
    return b"".join([b"%d\n" % number for number in numbers.tolist()])


def kept(found: Sequence[Edit], first: int, second: int) -> Iterator[tuple[int, int, int]]:
    """(position in the first, position in the second, length) of each stretch that both have.

    Args:
        found: what `edits` found.
        first, second: lengths of the lists.
    """
    at, new_at = 0, 0
    for edit in (*found, Edit(first, first, second, second)):
        if edit.start > at:
            yield at, new_at, edit.start - at
        at, new_at = edit.stop, edit.new_stop
