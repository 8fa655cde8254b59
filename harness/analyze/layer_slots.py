"""Ideal against actual time of the layers of a model whose weights are streamed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.intervals import Intervals, covered_before
from harness.analyze.overlap import share
from harness.analyze.range_roles import EVICTION, LAYER, Match
from harness.analyze.region_groups import RegionTree
from harness.analyze.selection import Ints
from harness.analyze.work import COMPUTE, UNKNOWN, Work

LAYERS = pa.schema(
    [
        pa.field("device", pa.int32()),
        pa.field("process", pa.int32()),  # null: the device number says which device it is
        pa.field("layer", pa.int64()),
        pa.field("instances", pa.int64()),
        pa.field("own_copy_ns", pa.int64()),
        pa.field("own_bytes", pa.int64()),
        pa.field("compute_ns", pa.int64()),
        pa.field("copy_ns", pa.int64()),
        pa.field("ideal_ns", pa.int64()),
        pa.field("actual_ns", pa.int64()),
        pa.field("lost_ns", pa.int64()),
        pa.field("ideal_share_of_actual", pa.float64()),
    ]
)
"""Columns of `layer_slots`."""


@dataclass(frozen=True)
class Launched:
    """In which ranges the activities were launched.

    Attributes:
        tree: the regions.
        matches: the role of each region.
        places: place of the region in the tree of each activity, or `UNKNOWN`.
    """

    tree: RegionTree
    matches: list[Match | None]
    places: Ints


_EVER = np.iinfo(np.int64).min


@dataclass
class _Slot:
    layer: int
    start: int
    end: int


def layer_slots(work: Work, launched: Launched) -> pa.Table:
    """A row for each layer of each device, in columns of `LAYERS`: sums over its instances.

    An instance is a range of the role layer (with those of the same layer inside it) in which
    kernels were launched. It has the device from the end of the instance before it to the end of
    its own last kernel; the first of a pass, whose number is not higher than the one before it, at
    the earliest from its first own copy or kernel. So slots do not overlap, and together they are
    the time that the layers took.

    ``compute_ns`` and ``copy_ns`` are how long the device computed and copied in the slots, whoever
    launched it; ``ideal_ns`` the larger of the two in each slot, ``actual_ns`` the slots' length,
    ``lost_ns`` the difference. ``own_copy_ns`` (a sum of durations) and ``own_bytes`` are of the
    copies launched in ranges that bring this layer, whenever they ran.
    """
    nearest = _nearest_role(launched)
    role_of = np.where(launched.places == UNKNOWN, UNKNOWN, nearest[launched.places])
    rows: list[dict[str, Any]] = []
    for (device, process), here in zip(work.device_labels, work.device_masks, strict=True):
        copies = _own_copies(work, launched, np.where(here, role_of, UNKNOWN))
        slots = _slots(work, launched, np.where(here, role_of, UNKNOWN), copies)
        compute = work.union(here & work.of_class(COMPUTE))
        copying = work.union(here & work.of_class(*work.copy_classes))
        label = {"device": device, "process": process}
        for row in _layer_rows(slots, compute, copying):
            rows.append({**label, **row, **_own(work, copies.get(row["layer"]))})
    return pa.Table.from_pylist(rows, LAYERS)


def _nearest_role(launched: Launched) -> Ints:
    """Place of the nearest range with a role and a number around each region, itself included; of
    a layer, the outermost of the same number."""
    nearest = np.full(len(launched.matches) + 1, UNKNOWN, np.int64)  # the last stands for no parent
    for place in launched.tree.order:
        parent = int(launched.tree.parents[place])
        around = int(nearest[parent])
        match = launched.matches[place]
        enclosing = launched.matches[around] if around != UNKNOWN else None
        inherits = match is None or match.layer is None or _same_layer(match, enclosing)
        nearest[place] = around if inherits else place
    return nearest


def _same_layer(match: Match, other: Match | None) -> bool:
    return other is not None and match.role == other.role == LAYER and match.layer == other.layer


def _own_copies(work: Work, launched: Launched, role_of: Ints) -> dict[int, Ints]:
    """The copies that bring each layer, in the order of their starts."""
    brought: dict[int, list[Ints]] = {}
    copies = work.of_class(*work.copy_classes)
    for place in np.unique(role_of[copies & (role_of != UNKNOWN)]).tolist():
        match = launched.matches[place]
        if match and match.layer is not None and match.role not in (LAYER, EVICTION):
            brought.setdefault(match.layer, []).append(np.flatnonzero(copies & (role_of == place)))
    joined = {layer: np.concatenate(parts) for layer, parts in brought.items()}
    return {layer: rows[np.argsort(work.starts[rows])] for layer, rows in joined.items()}


def _slots(work: Work, launched: Launched, role_of: Ints, copies: dict[int, Ints]) -> list[_Slot]:
    computing = np.flatnonzero(work.of_class(COMPUTE) & (role_of != UNKNOWN))
    computing = computing[np.argsort(role_of[computing], kind="stable")]
    places, first = np.unique(role_of[computing], return_index=True)
    slots: list[_Slot] = []
    if not len(computing):
        return slots
    for place, rows in zip(places.tolist(), np.split(computing, first[1:]), strict=True):
        match = launched.matches[place]
        if match and match.role == LAYER and match.layer is not None:
            begin, end = int(work.starts[rows].min()), int(work.ends[rows].max())
            slots.append(_Slot(match.layer, begin, end))
    slots.sort(key=lambda slot: slot.start)
    return _without_overlap(slots, {n: work.starts[rows] for n, rows in copies.items()})


def _without_overlap(slots: list[_Slot], copy_starts: dict[int, Ints]) -> list[_Slot]:
    reached: int | None = None
    before: int | None = None
    last_end: dict[int, int] = {}
    for slot in slots:
        if before is None or reached is None or slot.layer <= before:
            own = copy_starts.get(slot.layer, np.zeros(0, np.int64))
            since = own[(own >= last_end.get(slot.layer, _EVER)) & (own < slot.start)]
            begin = int(min(since.min(initial=slot.start), slot.start))
            slot.start = begin if reached is None else max(begin, reached)
        else:
            slot.start = reached
        slot.end = max(slot.end, slot.start)
        reached, before = slot.end, slot.layer
        last_end[slot.layer] = slot.end
    return slots


def _layer_rows(slots: list[_Slot], compute: Intervals, copying: Intervals) -> list[dict[str, Any]]:
    figures: dict[int, dict[str, Any]] = {}
    edges = np.array([[slot.start, slot.end] for slot in slots], np.int64).reshape(-1, 2)
    computed = np.diff(covered_before(compute, edges))[:, 0].tolist()
    copied = np.diff(covered_before(copying, edges))[:, 0].tolist()
    for slot, busy, moved in zip(slots, computed, copied, strict=True):
        row = figures.setdefault(slot.layer, dict.fromkeys(_SUMMED, 0))
        ideal, actual = max(busy, moved), slot.end - slot.start
        for name, value in zip(
            _SUMMED, (1, busy, moved, ideal, actual, actual - ideal), strict=True
        ):
            row[name] += value
    return [
        {"layer": layer, **row, "ideal_share_of_actual": share(row["ideal_ns"], row["actual_ns"])}
        for layer, row in sorted(figures.items())
    ]


_SUMMED = ("instances", "compute_ns", "copy_ns", "ideal_ns", "actual_ns", "lost_ns")


def _own(work: Work, copies: Ints | None) -> dict[str, Any]:
    if copies is None:
        return {"own_copy_ns": 0, "own_bytes": 0}
    sizes = work.rows["bytes"].take(pa.array(copies)).to_pylist()
    moved = None if None in sizes else sum(sizes)
    return {"own_copy_ns": int((work.ends - work.starts)[copies].sum()), "own_bytes": moved}
