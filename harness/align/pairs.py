"""Which launch of one list stands for which of the other: by exact name first, then by family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from harness.align.script import Edit, Ints, edits, kept, numbered
from harness.names import family

_family = lru_cache(maxsize=65536)(family)


@dataclass(frozen=True)
class Pairing:
    """Two lists of identity keys and the edit script between them.

    Attributes:
        reference: the list that the script starts from.
        mock: the list that it leads to.
        edits: in order and apart from each other; positions in ``reference``, then in ``mock``.
    """

    reference: Sequence[str]
    mock: Sequence[str]
    edits: tuple[Edit, ...]

    def exact(self) -> Iterator[tuple[int, int]]:
        """(position in the mock, position in the reference) of launches of one name."""
        for start, new_start, length in kept(self.edits, len(self.reference), len(self.mock)):
            for offset in range(length):
                yield new_start + offset, start + offset

    def exact_positions(self) -> tuple[Ints, Ints]:
        """What `exact` yields as two arrays of one length: of the mock, of the reference."""
        stretches = list(kept(self.edits, len(self.reference), len(self.mock)))
        mock = [np.arange(new, new + length) for _, new, length in stretches]
        reference = [np.arange(start, start + length) for start, _, length in stretches]
        none = [np.empty(0, np.int64)]
        return np.concatenate([*none, *mock]), np.concatenate([*none, *reference])

    @cached_property
    def related(self) -> tuple[tuple[int, int], ...]:
        """(position in the mock, in the reference) of other kernels of one family, in one place."""
        return tuple(pair for edit in self.edits for pair in self._related(edit))

    def applied(self) -> list[str]:
        """The reference after the script: the mock."""
        result: list[str] = []
        at = 0
        for edit in self.edits:
            result += self.reference[at : edit.start]
            result += self.mock[edit.new_start : edit.new_stop]
            at = edit.stop
        return result + list(self.reference[at:])

    def _related(self, edit: Edit) -> Iterator[tuple[int, int]]:
        gone = [_family(key) for key in self.reference[edit.start : edit.stop]]
        new = [_family(key) for key in self.mock[edit.new_start : edit.new_stop]]
        if set(gone).isdisjoint(new):
            return
        for start, new_start, length in kept(edits(*numbered(gone, new)), len(gone), len(new)):
            for offset in range(length):
                yield edit.new_start + new_start + offset, edit.start + start + offset


def pair_lists(reference: Sequence[str], mock: Sequence[str]) -> Pairing:
    """Align two lists of identity keys.

    Raises:
        MissingPackageError: the library that aligns is not installed.
    """
    return Pairing(reference, mock, tuple(edits(*numbered(reference, mock))))
