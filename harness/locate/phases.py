"""Prefill and decode that were told by kernel time alone: said, or taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.analyze.region_groups import RegionTree
from harness.analyze.selection import ints
from harness.analyze.step_phases import DECODE, PREFILL, phase_of_names
from harness.analyze.step_phases import UNKNOWN as UNKNOWN_PHASE
from harness.analyze.work import UNKNOWN
from harness.locate.launches import Launches
from harness.locate.step_lookup import StepTable
from harness.trace import Trace

Row = dict[str, Any]


def with_phases_told(trace: Trace, devices: Sequence[Launches], steps: StepTable) -> StepTable:
    """The steps with a note where nothing but kernel time tells prefill from decode.

    Where both launch the same list they are not told apart: two batch sizes take different times
    too.
    """
    rows, notes = list(steps.rows), list(steps.notes)
    if _named(trace):
        return steps
    for launches in devices:
        key = (launches.process, launches.device)
        mine = [row for row in rows if (row["process"], row["device"]) == key]
        long = [row for row in mine if row["phase"] == PREFILL]
        short = [row for row in mine if row["phase"] == DECODE]
        if not long or not short:
            continue
        ratio = _kernel_ns(long) / _kernel_ns(short)
        if _usual_list(launches, long) != _usual_list(launches, short):
            notes.append(f"phases told by kernel time (x {ratio:.1f}), since no range names them")
            continue
        notes.append(
            f"steps differ in kernel time (x {ratio:.1f}) but launch the same list, so they are "
            "not split into prefill and decode"
        )
        rows = [
            {**row, "phase": UNKNOWN_PHASE} if (row["process"], row["device"]) == key else row
            for row in rows
        ]
    return replace(steps, rows=rows, notes=tuple(dict.fromkeys(notes)))


def _named(trace: Trace) -> bool:
    """Whether a range around any launch names a phase."""
    tree = RegionTree(trace.regions)
    places = np.unique(tree.places(ints(trace.launch_regions())))
    return any(
        phase_of_names(tree.path(place)) != UNKNOWN_PHASE
        for place in places.tolist()
        if place != UNKNOWN
    )


def _kernel_ns(rows: list[Row]) -> float:
    return max(float(np.median([row["kernel_ns"] for row in rows])), 1.0)


def _usual_list(launches: Launches, rows: list[Row]) -> tuple[str, ...]:
    """The names of the launches of most of these steps."""
    starts = np.array([row["start_ns"] for row in rows])
    first = np.searchsorted(launches.starts, starts)
    last = np.searchsorted(launches.starts, starts + [row["wall_ns"] for row in rows])
    lists = Counter(
        tuple(launches.names[begin:end])
        for begin, end in zip(first.tolist(), last.tolist(), strict=True)
    )
    return lists.most_common(1)[0][0]
