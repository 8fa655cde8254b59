"""The figures of steps, from the kernels that were put to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.analyze.intervals import covered_before, merged
from harness.analyze.selection import Ints, Mask
from harness.analyze.step_phases import UNKNOWN, phases_by_time, warm_ups

WARM_UP, STEADY, CUT = "warm-up", "steady", "cut"

STEPS = pa.schema(
    [
        pa.field("process", pa.int32()),
        pa.field("device", pa.int32()),
        pa.field("step", pa.int64()),  # counted from 0 on each device
        pa.field("name", pa.string()),  # of the range; null: not cut by ranges
        pa.field("phase", pa.string()),  # prefill, decode, mixed, unknown
        pa.field("state", pa.string()),  # warm-up, steady, cut (not whole), unknown
        pa.field("start_ns", pa.int64()),  # of the first kernel
        pa.field("wall_ns", pa.int64()),  # to the end of the last kernel
        pa.field("gap_before_ns", pa.int64()),  # since the end of the step before; below 0: overlap
        pa.field("kernels", pa.int64()),
        pa.field("kernel_ns", pa.int64()),  # the sum of durations
        pa.field("busy_union_ns", pa.int64()),  # of the wall, any kernel of the device runs
        pa.field("utilisation", pa.float64()),  # busy_union_ns / wall_ns
    ]
)
"""Columns of the table of steps."""


@dataclass(frozen=True)
class Cut:
    """The kernels of one device of one process, put to steps.

    Attributes:
        starts, ends: ns, shape (n,), in the order of the starts.
        step: number of each kernel's step, counted by their first kernels; -1: in none.
        names: of each step, None where it has none.
        phases: what the ranges around each step say.
        first_is_cut: whether nothing says where the first step began.
        last_is_cut: whether nothing says that the last step is whole.
    """

    process: int | None
    device: int | None
    starts: Ints
    ends: Ints
    step: Ints
    names: Sequence[str | None]
    phases: Sequence[str]
    first_is_cut: bool
    last_is_cut: bool


def step_rows(cut: Cut) -> list[dict[str, Any]]:
    """The rows of `STEPS`."""
    order = np.argsort(cut.step, kind="stable")
    order = order[np.searchsorted(cut.step[order], 0) :]
    first = np.flatnonzero(np.diff(cut.step[order], prepend=-1))
    starts, ends = cut.starts[order], cut.ends[order]
    begin, end = starts[first], np.maximum.reduceat(ends, first)
    wall = end - begin
    kernels = np.diff(first, append=len(order))
    kernel_ns = np.add.reduceat(ends - starts, first)
    union = merged(cut.starts, cut.ends)
    busy = covered_before(union, end) - covered_before(union, begin)
    gaps = begin[1:] - np.maximum.accumulate(end)[:-1]
    whole = _whole(cut, kernels)
    phases = np.array(cut.phases, dtype=object)
    if (phases[whole] == UNKNOWN).all():
        phases[whole] = phases_by_time(kernel_ns[whole])
    columns = {
        "name": cut.names,
        "phase": phases.tolist(),
        "state": _states(phases, wall, kernels, whole),
        "start_ns": begin.tolist(),
        "wall_ns": wall.tolist(),
        "gap_before_ns": [None, *gaps.tolist()],
        "kernels": kernels.tolist(),
        "kernel_ns": kernel_ns.tolist(),
        "busy_union_ns": busy.tolist(),
        "utilisation": (busy / np.maximum(wall, 1)).tolist(),
    }
    return [
        {
            "process": cut.process,
            "device": cut.device,
            "step": number,
            **dict(zip(columns, row, strict=True)),
        }
        for number, row in enumerate(zip(*columns.values(), strict=True))
    ]


def _whole(cut: Cut, kernels: Ints) -> Mask:
    """Which steps are whole. A first one that began before the recording, or has the set-up in it,
    has a number of kernels that no other step has."""
    whole = np.ones(len(kernels), np.bool_)
    whole[0] = not cut.first_is_cut or bool((kernels[1:] == kernels[0]).any())
    whole[-1] &= not cut.last_is_cut
    return whole


def _states(phases: npt.NDArray[Any], wall: Ints, kernels: Ints, whole: Mask) -> list[str]:
    """Warm-up or steady, each phase by itself; those of no known phase only if all are so."""
    states = np.where(whole, UNKNOWN, CUT)
    known = set(phases[whole])
    for phase in known - {UNKNOWN} or known:
        mine = np.flatnonzero(whole & (phases == phase))
        leading = warm_ups(wall[mine], kernels[mine])
        if leading is not None:
            states[mine[:leading]] = WARM_UP
            states[mine[leading:]] = STEADY
    found: list[str] = states.tolist()
    return found
