"""How much of the copying and communicating is hidden behind compute."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.intervals import Intervals, covered_before, merged
from harness.analyze.region_groups import RegionTree, groups_of
from harness.analyze.selection import Ints
from harness.analyze.work import COMPUTE, NCCL, Work, device_work
from harness.trace import Trace

ALL_COPIES = "copies, all"
"""Stands for the copies of every direction together."""

OVERLAP = pa.schema(
    [
        pa.field("range", pa.string()),
        pa.field("device", pa.int32()),
        pa.field("process", pa.int32()),  # null: the device number says which device it is
        pa.field("against", pa.string()),
        pa.field("compute_ns", pa.int64()),
        pa.field("against_ns", pa.int64()),
        pa.field("against_overlapped_ns", pa.int64()),
        pa.field("compute_overlapped_ns", pa.int64()),
        pa.field("overlapped_share_of_against", pa.float64()),
        pa.field("overlapped_share_of_compute", pa.float64()),
    ]
)
"""Columns of `overlap`."""

Row = dict[str, Any]
Unions = dict[tuple[int, str], Intervals]

_DEVICE = ("device", "process")
_TELLING = ("against_ns", "compute_overlapped_ns")


def overlap(trace: Trace, patterns: Sequence[str] = ()) -> pa.Table:
    """Compute against copies of each direction, and against NCCL kernels, in columns of `OVERLAP`.

    Compute are kernels that are not NCCL's, and whole CUDA graphs. Every time is the length of a
    union of intervals on one device. Rows without ``device`` are sums over several devices. Where
    processes number devices by themselves, a device is one of a process; see
    `harness.analyze.devices`.

    Rows without ``range`` come first and are totals: all compute of a device against all copies
    of the kind. Other rows are of what was launched in ranges of that name and in those inside them
    (numbers in names as ``*``), against whatever else the device did meanwhile:

    - ``compute_ns``, ``against_ns``: compute, and copies or communication, launched in the range;
    - ``against_overlapped_ns``: the part of ``against_ns`` during which the device computed
      anything, ``overlapped_share_of_against`` its share of ``against_ns``;
    - ``compute_overlapped_ns``: the part of ``compute_ns`` during which the device copied (or
      communicated) anything of the kind, ``overlapped_share_of_compute`` its share of
      ``compute_ns``.

    A share of nothing is null.

    Args:
        patterns: of range names (`fnmatch`), each a row; by default all names.
    """
    work = device_work(trace)
    unions = _unions(work, np.arange(len(work.starts)))
    rows = list(_rows(None, work, unions, unions))
    tree = RegionTree(trace.regions)
    places = tree.places(work.regions)
    groups = []
    for group, inside in groups_of(tree, patterns):
        # the last stands for what is in no region, whose place is -1
        launched_here = np.flatnonzero(np.append(inside, False)[places])
        groups.append(_rows(group, work, _unions(work, launched_here), unions))
    groups.sort(key=lambda some: -max((row["against_ns"] for row in some), default=0))
    return pa.Table.from_pylist([*rows, *chain.from_iterable(groups)], OVERLAP)


def classes_against(work: Work) -> dict[str, tuple[str, ...]]:
    """What compute is held against: name, and the classes of activities that it stands for."""
    copies = work.copy_classes
    against: dict[str, tuple[str, ...]] = {name: (name,) for name in copies}
    if len(copies) > 1:
        against[ALL_COPIES] = copies
    if NCCL in work.class_names:
        against[NCCL] = (NCCL,)
    return against


def _unions(work: Work, chosen: Ints) -> Unions:
    """When each class of the chosen activities ran, by device and name."""
    unions: Unions = {}
    against = {COMPUTE: (COMPUTE,), **classes_against(work)}
    devices, classes = work.devices[chosen], work.classes[chosen]
    for name, parts in against.items():
        wanted = np.array([one in parts for one in work.class_names], np.bool_)
        candidates = np.flatnonzero(wanted[classes])
        for device in range(len(work.device_labels)):
            rows = chosen[candidates[devices[candidates] == device]]
            unions[device, name] = merged(work.starts[rows], work.ends[rows])
    return unions


def _rows(group: str | None, work: Work, own: Unions, every: Unions) -> list[Row]:
    """The rows of what one range launched, or of everything."""
    found: dict[str, list[Row]] = {}
    for device, name in own:
        figures = _figures(own, every, device, name)
        # What a range has nothing of says nothing about it.
        if name != COMPUTE and (group is None or any(figures[key] for key in _TELLING)):
            label = dict(zip(_DEVICE, work.device_labels[device], strict=True))
            found.setdefault(name, []).append({**label, **figures})
    for rows in found.values():
        if len(rows) > 1:
            figures = {key: sum(row[key] for row in rows) for key in rows[0] if key not in _DEVICE}
            rows.append({"device": None, **figures})
    return [
        _with_shares({"range": group, "against": name, **row})
        for name, rows in found.items()
        for row in rows
    ]


def _figures(own: Unions, every: Unions, device: int, name: str) -> dict[str, int]:
    compute, against = own[device, COMPUTE], own[device, name]
    return {
        "compute_ns": compute.length_ns,
        "against_ns": against.length_ns,
        "against_overlapped_ns": shared_ns(against, every[device, COMPUTE]),
        "compute_overlapped_ns": shared_ns(compute, every[device, name]),
    }


def shared_ns(one: Intervals, other: Intervals) -> int:
    """How much time both cover; without sorting both, as one is often much shorter."""
    short, long = sorted((one, other), key=lambda union: len(union.starts))
    if not len(short.starts):
        return 0
    return int((covered_before(long, short.ends) - covered_before(long, short.starts)).sum())


def _with_shares(row: Row) -> Row:
    return {
        **row,
        "overlapped_share_of_against": share(row["against_overlapped_ns"], row["against_ns"]),
        "overlapped_share_of_compute": share(row["compute_overlapped_ns"], row["compute_ns"]),
    }


def share(part: int, whole: int) -> float | None:
    """``part / whole``; None of nothing."""
    return part / whole if whole else None
