"""Regions put together by their names, and which activities were launched in which group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa

from harness.analyze.selection import Ints, Mask, ints
from harness.analyze.work import UNKNOWN
from harness.trace.schema import OUTSIDE

# not the 2 of h2d
_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+|\d+(?![A-Za-z0-9])")


class RegionTree:
    """The regions of a Trace by place in its table, without the one that stands for none.

    Attributes:
        names: shape (n,).
        parents: place of the enclosing region or `UNKNOWN`, shape (n,).
        order: places with every parent before its children.
    """

    def __init__(self, regions: pa.Table) -> None:
        ids = ints(regions["id"])
        regions, ids = regions.filter(pa.array(ids != OUTSIDE)), ids[ids != OUTSIDE]
        self.rows = regions
        self.names: list[str] = [name or "" for name in regions["name"].to_pylist()]
        self._order_of_ids = np.argsort(ids, kind="stable")
        self._sorted_ids = ids[self._order_of_ids]
        self.parents = self.places(ints(regions["parent"]))
        self.order = _parents_first(self.parents)

    def places(self, ids: Ints) -> Ints:
        """Place of each region in the table; `UNKNOWN` for one that is not in it."""
        if not len(self._sorted_ids):
            return np.full(len(ids), UNKNOWN, np.int64)
        found = np.minimum(np.searchsorted(self._sorted_ids, ids), len(self._sorted_ids) - 1)
        places: Ints = np.where(
            self._sorted_ids[found] == ids, self._order_of_ids[found], UNKNOWN
        ).astype(np.int64)
        return places

    def path(self, place: int) -> list[str]:
        """Names of a region and of those around it, innermost first; none for `UNKNOWN`."""
        seen: dict[int, str] = {}
        while place != UNKNOWN and place not in seen:  # a damaged file may hold a cycle
            seen[place] = self.names[place]
            place = int(self.parents[place])
        return list(seen.values())

    def outermost(self, pattern: str) -> list[int]:
        """Place of the outermost region around each region, itself included, whose name matches.

        Args:
            pattern: as `fnmatch.fnmatchcase` takes it.

        Returns:
            One place per region, `UNKNOWN` for one that neither matches nor lies in one that does.
        """
        found = [UNKNOWN] * len(self.names)
        for place in self.order:
            around = int(self.parents[place])
            found[place] = found[around] if around != UNKNOWN else UNKNOWN
            if found[place] == UNKNOWN and fnmatchcase(self.names[place], pattern):
                found[place] = place
        return found

    def with_nested(self, members: Iterable[int]) -> Mask:
        """Which regions are one of ``members`` or lie inside one, shape (n,)."""
        inside: list[bool] = [False] * len(self.names)
        for place in members:
            inside[place] = True
        parents = self.parents.tolist()
        for place in self.order:
            if parents[place] != UNKNOWN and inside[parents[place]]:
                inside[place] = True
        return np.array(inside, np.bool_)


def number_free(name: str) -> str:
    """A name with each number as ``*``: ``layer_3`` and ``layer_12`` are both ``layer_*``.

    Digits between letters are part of a word: ``h2d_transfer_3`` is ``h2d_transfer_*``.
    """
    return _NUMBER.sub("*", name)


def groups_of(tree: RegionTree, patterns: Sequence[str] = ()) -> Iterator[tuple[str, Mask]]:
    """Groups of regions by name, and which regions belong to each, nested ones included.

    Args:
        patterns: as for `members_of`.
    """
    for group, places in members_of(tree.names, patterns).items():
        if places:
            yield group, tree.with_nested(places)


def members_of(names: Sequence[str], patterns: Sequence[str] = ()) -> dict[str, list[int]]:
    """Places of the names of each group.

    Args:
        patterns: as `fnmatch.fnmatchcase` takes them, each a group; without any, a group for each
            name with its numbers left out (`number_free`).
    """
    members: dict[str, list[int]] = {pattern: [] for pattern in patterns}
    for place, name in enumerate(names):
        if not patterns:
            members.setdefault(number_free(name), []).append(place)
        for pattern in patterns:
            if fnmatchcase(name, pattern):
                members[pattern].append(place)
    return members


def _parents_first(parents: Ints) -> list[int]:
    """Places in an order with every parent before its children; a cycle is left out."""
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents.tolist()):
        children.setdefault(parent, []).append(place)
    order = list(children.get(UNKNOWN, ()))
    for place in order:  # grows while it is walked
        order += children.get(place, ())
    return order
