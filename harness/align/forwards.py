"""A recording of several forwards, cut into single ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.trace import Trace

FORWARD = "forward"
"""Name of the region around each recorded forward."""

_NONE = -1

Ints = npt.NDArray[np.int64]


def split_forwards(trace: Trace) -> list[Trace]:
    """One Trace per region named ``forward``, in the order in which they were entered.

    What was launched in it or in regions inside it is part of it, also nodes of a graph that were
    captured elsewhere; what was launched in none is in no part. The activities are sorted by their
    forward once and cut, so the time does not grow with the number of forwards.
    """
    names = trace.regions["name"].to_pylist()
    ids = trace.regions["id"].to_pylist()
    roots = [i for i, name in zip(ids, names, strict=True) if name == FORWARD]
    if not roots:
        return []
    owner = _owners(trace, roots)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(roots) + 1))
    first, last = int(bounds[0]), int(bounds[-1])
    inside = order[first:last]
    table = trace.activities.take(pa.array(inside))
    return [
        replace(trace, activities=table.slice(start - first, stop - start))
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def _owners(trace: Trace, roots: list[int]) -> Ints:
    """Place in ``roots`` of the forward of each activity, shape (n,); -1 in none."""
    ids: list[int] = trace.regions["id"].to_pylist()
    parents = dict(zip(ids, trace.regions["parent"].to_pylist(), strict=True))
    place: dict[int | None, int] = {root: at for at, root in enumerate(roots)}
    owners = pa.array([_owner(i, parents, place) for i in ids], pa.int64())
    region = pc.index_in(trace.launch_regions(), value_set=pa.array(ids, pa.int64()))
    found = pc.fill_null(owners.take(region.combine_chunks()), _NONE)
    owned: Ints = found.to_numpy(zero_copy_only=False)
    return owned


def _owner(
    region: int | None, parents: dict[int, int | None], place: dict[int | None, int]
) -> int | None:
    while region is not None and region not in place:
        region = parents.get(region)
    return place.get(region)
