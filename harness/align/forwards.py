"""A recording of several forwards, cut into single ones."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from harness.trace import Trace

FORWARD = "forward"
"""Name of the region around each recorded forward."""


def split_forwards(trace: Trace) -> list[Trace]:
    """One Trace per region named ``forward``, in the order in which they were entered.

    What was launched in it or in regions inside it is part of it, also nodes of a graph that were
    captured elsewhere; what was launched in none is in no part.
    """
    names = trace.regions["name"].to_pylist()
    ids = trace.regions["id"].to_pylist()
    parents = dict(zip(ids, trace.regions["parent"].to_pylist(), strict=True))
    roots = [i for i, name in zip(ids, names, strict=True) if name == FORWARD]
    owner = {i: _ancestor(i, parents, set(roots)) for i in ids}
    return [_part(trace, [i for i in ids if owner[i] == root]) for root in roots]


def _ancestor(region: int | None, parents: dict[int, int | None], roots: set[int]) -> int | None:
    while region is not None and region not in roots:
        region = parents.get(region)
    return region


def _part(trace: Trace, regions: list[int]) -> Trace:
    launched_in = trace.launch_regions()
    mask = pc.and_(pc.is_in(launched_in, pa.array(regions, pa.int64())), pc.is_valid(launched_in))
    return replace(trace, activities=trace.activities.filter(mask))
