"""What a second profiler saw of the same case in a process of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from harness.align.forwards import split_forwards
from harness.trace import Trace

PREFIX = "witness: "
"""Begins the name of the region around each list, as ``witness: mock eager``."""

EAGER, REPLAY = "eager", "graph replay"

Lists = Mapping[str, Sequence[Trace]]
"""Side and mode (``mock eager``, ``reference graph replay``) -> one Trace per forward."""


@dataclass(frozen=True, eq=False)
class Witness:
    """A case as another profiler saw it.

    Attributes:
        program: which one, with its version.
        trace: everything that it saw; None where it saw nothing.
        problem: why not; empty where it did.
        notes: what a reader should know.
    """

    program: str
    trace: Trace | None = None
    problem: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def lists(self) -> dict[str, list[Trace]]:
        """The forwards that it saw, by side and mode."""
        return {} if self.trace is None else witnessed(self.trace)


def label_of(side: str, mode: str) -> str:
    """Name of a list: ``mock eager``."""
    return f"{side} {mode}"


def witnessed(trace: Trace) -> dict[str, list[Trace]]:
    """Cut a Trace into its lists, and each into forwards.

    Args:
        trace: regions named ``forward`` inside regions whose names begin with `PREFIX`.
    """
    ids = trace.regions["id"].to_pylist()
    names = trace.regions["name"].to_pylist()
    parents = dict(zip(ids, trace.regions["parent"].to_pylist(), strict=True))
    found: dict[str, list[Trace]] = {}
    for root, name in zip(ids, names, strict=True):
        if name is not None and name.startswith(PREFIX):
            inside = _inside(root, ids, parents)
            rows = pc.is_in(trace.regions["id"], pa.array(inside, pa.int64()))
            part = replace(trace, regions=trace.regions.filter(rows))
            found.setdefault(name.removeprefix(PREFIX), []).extend(split_forwards(part))
    return found


def _inside(root: int, ids: Iterable[int], parents: Mapping[int, int | None]) -> list[int]:
    """Ids of the regions inside ``root``; a damaged file's circles of parents are in none."""
    inside = []
    for one in ids:
        above, seen = parents.get(one), {one}
        while above is not None and above != root and above not in seen:
            seen.add(above)
            above = parents.get(above)
        if above == root:
            inside.append(one)
    return inside
