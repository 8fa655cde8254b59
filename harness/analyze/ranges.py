"""Time per NVTX range, ranges put together by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.projection import is_range, project
from harness.analyze.region_groups import RegionTree, members_of
from harness.analyze.selection import Ints, has_values, ints, spans, timed
from harness.trace import Trace

RANGES = pa.schema(
    [
        pa.field("range", pa.string()),
        pa.field("instances", pa.int64()),
        pa.field("host_total_ns", pa.int64()),
        pa.field("host_min_ns", pa.int64()),
        pa.field("host_median_ns", pa.float64()),
        pa.field("host_max_ns", pa.int64()),
        pa.field("projected_instances", pa.int64()),
        pa.field("projected_total_ns", pa.int64()),
        pa.field("projected_min_ns", pa.int64()),
        pa.field("projected_median_ns", pa.float64()),
        pa.field("projected_max_ns", pa.int64()),
        pa.field("kernels", pa.int64()),
        pa.field("kernel_ns", pa.int64()),
        pa.field("share_of_kernel_time", pa.float64()),
    ]
)
"""Columns of `ranges`."""


def ranges(trace: Trace, patterns: Sequence[str] = ()) -> pa.Table:
    """Ranges by name, in columns of `RANGES`: most kernel time first, then most host time.

    - ``host_*``: from the start to the end of each range on the host; open ones are left out.
    - ``projected_*``: from the first operation launched in a range to the end of the last, as in
      `harness.analyze.projection.project`; null where nothing was launched.
    - ``kernels``, ``kernel_ns``: kernels of the range and of those inside it, and the sum of their
      durations. A kernel of a CUDA graph belongs where its node was captured, so that layers keep
      their kernels in replays; projected time is of where the graph was launched.
      Null where the source says of no kernel to which range it belongs.
    - ``share_of_kernel_time``: of the sum of the durations of all kernels.

    Args:
        patterns: of names without their domains, as `fnmatch.fnmatchcase` takes them
            (``layer_*_attention``), each a row if anything matches; a range may be in several.
            Without any, names that differ only in numbers are put together.
    """
    tree = RegionTree(trace.regions)
    wanted = is_range(tree.rows)
    host = _host_ns(tree.rows)
    projected = _projected_ns(trace, tree)
    kernels = _Kernels(trace, tree)
    rows = []
    for name, members in members_of(tree.names, patterns).items():
        places = np.array(members, np.int64)
        places = places[wanted[places]]
        if len(places):
            rows.append(
                {
                    "range": name,
                    **_figures("host", _known(host[places])),
                    **_figures("projected", _known(projected[places])),
                    **kernels.inside(tree, places),
                }
            )
    for row in rows:
        row["instances"] = row.pop("host_instances")
    rows.sort(key=lambda row: (-(row["kernel_ns"] or 0), -row.get("host_total_ns", 0)))
    return pa.Table.from_pylist(rows, RANGES)


_NONE = -1


def _known(values: Ints) -> Ints:
    known: Ints = values[values != _NONE]
    return known


def _host_ns(regions: pa.Table) -> Ints:
    starts, ends = spans(regions)
    lengths: Ints = ends - starts
    lengths[~has_values(regions, "start_ns", "end_ns")] = _NONE
    return lengths


def _projected_ns(trace: Trace, tree: RegionTree) -> Ints:
    found = project(trace)
    lengths = np.full(len(tree.names), _NONE, np.int64)
    lengths[tree.places(ints(found.regions["id"]))] = found.end_ns - found.start_ns
    return lengths


def _figures(prefix: str, values: Ints) -> dict[str, Any]:
    if not len(values):
        return {f"{prefix}_instances": 0}
    return {
        f"{prefix}_instances": len(values),
        f"{prefix}_total_ns": int(values.sum()),
        f"{prefix}_min_ns": int(values.min()),
        f"{prefix}_median_ns": float(np.median(values)),
        f"{prefix}_max_ns": int(values.max()),
    }


class _Kernels:
    """Kernels and their time by the range to which each belongs, shape (regions,)."""

    def __init__(self, trace: Trace, tree: RegionTree) -> None:
        kernels = timed(
            trace.activities.select(["kind", "name", "start_ns", "end_ns", "region"]), "kernel"
        )
        self._known = kernels["region"].null_count < kernels.num_rows
        starts, ends = spans(kernels)
        lengths = ends - starts
        self._all_ns = int(lengths.sum())
        places = tree.places(ints(kernels["region"]))
        inside, size = places != _NONE, len(tree.names)
        places, lengths = places[inside], lengths[inside]
        self._count = np.bincount(places, minlength=size)
        # Sums of float64 are exact here: below 2^53 ns, 104 days.
        self._ns = np.bincount(places, lengths, minlength=size).astype(np.int64)

    def inside(self, tree: RegionTree, places: Ints) -> dict[str, Any]:
        """Of these ranges and those within them."""
        if not self._known:
            return {"kernel_ns": None}
        nested = tree.with_nested(places.tolist())
        time = int(self._ns[nested].sum())
        return {
            "kernels": int(self._count[nested].sum()),
            "kernel_ns": time,
            "share_of_kernel_time": time / self._all_ns if self._all_ns else None,
        }
