"""Edits with names: what the mock leaves out, adds or replaces, in which region, between what.

The same edit in every layer is one change with a count, also where each layer has a region of its
own (``model.layers.7.self_attn``): regions that differ only in numbers are one, shown with ``*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.align.pairs import Pairing
from harness.align.script import Edit
from harness.names import display_name
from harness.trace import Trace
from harness.trace.schema import OUTSIDE, OUTSIDE_NAME

EDGE = ""
"""Stands for the neighbour of what begins or ends a list."""

# a number that is a part by itself: not the 2 of h2d, nor that of fc2, which is another submodule
_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+(?![A-Za-z0-9])")

MOST_SHOWN = 3
"""Names of one change that a line shows."""


@dataclass(frozen=True)
class Change:
    """One place in which two lists differ.

    Attributes:
        gone: identity keys that the mock lacks.
        new: identity keys that it has there.
        related: positions in ``new`` and ``gone`` of other kernels of one family.
        region: innermost region of the first launch; empty where it is not known; ``*`` in place of
            numbers that differ between the places.
        before, after: the launches of both lists around it; `EDGE` at an end.
        position: in the reference, of the first that is folded into this.
        times: how many places differ in just this way.
    """

    gone: tuple[str, ...]
    new: tuple[str, ...]
    related: tuple[tuple[int, int], ...]
    region: str
    before: str
    after: str
    position: int
    times: int = 1

    @property
    def kind(self) -> str:
        """``deleted``, ``inserted``, ``replaced``, or ``family``: only by others of the family."""
        if not self.gone or not self.new:
            return "deleted" if self.gone else "inserted"
        whole = len(self.related) == len(self.gone) == len(self.new)
        return "family" if whole else "replaced"

    def line(self) -> str:
        """The change as a sentence with its place."""
        return f"at {self.position}: {self._text()}{self._where()}"

    def _text(self) -> str:
        if self.kind == "deleted":
            return f"the mock leaves out {_shown(self.gone)}"
        if self.kind == "inserted":
            return f"the mock adds {_shown(self.new)}"
        family = " (same family)" if self.kind == "family" else ""
        return f"the mock has {_shown(self.new)} for {_shown(self.gone)}{family}"

    def _where(self) -> str:
        region = f", in {display_name(self.region, 'region')}" if self.region else ""
        before = f"after {_named(self.before)}" if self.before else "at the start"
        after = f"before {_named(self.after)}" if self.after else "at the end"
        times = f"; {self.times} times" if self.times > 1 else ""
        return f"{region}, {before}, {after}{times}"


def changes(pairing: Pairing, mock: Regions, reference: Regions) -> list[Change]:
    """The changes in the order of their first places, equal ones folded.

    Args:
        pairing: the lists and their script.
        mock, reference: name of the region of each launch, in the lists' order.
    """
    folded: dict[Change, Change] = {}
    for found in _all(pairing, mock, reference):
        anywhere = _NUMBER.sub("*", found.region)
        key = replace(found, position=0, region=anywhere)
        first = folded.get(key, found)
        times = first.times + (key in folded)
        region = first.region if first.region == found.region else anywhere
        folded[key] = replace(first, times=times, region=region)
    return list(folded.values())


Regions = Sequence[str]
"""Names of regions, one per launch."""


def region_names(trace: Trace) -> list[str]:
    """Name of the innermost region of each activity; empty where the recorder cannot tell."""
    rows = zip(trace.regions["id"].to_pylist(), trace.regions["name"].to_pylist(), strict=True)
    names: dict[int | None, str] = {number: name or "" for number, name in rows}
    names.setdefault(OUTSIDE, OUTSIDE_NAME)
    column = trace.activities["region"].combine_chunks().dictionary_encode(null_encoding="encode")
    # One text per region that all its launches share: a million launches have few regions.
    distinct = np.array([names.get(number, "") for number in column.dictionary.to_pylist()], object)
    found: list[str] = distinct[column.indices.to_numpy()].tolist()
    return found


def _all(pairing: Pairing, mock: Regions, reference: Regions) -> Iterator[Change]:
    related = iter(pairing.related)
    pair = next(related, None)
    for edit in pairing.edits:
        inside = []
        while pair is not None and pair[1] < edit.stop:
            inside.append((pair[0] - edit.new_start, pair[1] - edit.start))
            pair = next(related, None)
        yield _change(pairing, edit, tuple(inside), mock, reference)


def _change(
    pairing: Pairing,
    edit: Edit,
    related: tuple[tuple[int, int], ...],
    mock: Regions,
    reference: Regions,
) -> Change:
    keys = pairing.reference
    gone = tuple(keys[edit.start : edit.stop])
    return Change(
        gone=gone,
        new=tuple(pairing.mock[edit.new_start : edit.new_stop]),
        related=related,
        region=reference[edit.start] if gone else mock[edit.new_start],
        before=keys[edit.start - 1] if edit.start else EDGE,
        after=keys[edit.stop] if edit.stop < len(keys) else EDGE,
        position=edit.start,
    )


def _shown(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MOST_SHOWN} more" if len(keys) > MOST_SHOWN else ""
    return ", ".join(_named(key) for key in keys[:MOST_SHOWN]) + more


def _named(key: str) -> str:
    return display_name(key, width=60)
