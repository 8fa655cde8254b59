"""Forwards of a side out of a file: those it has, the whole, or what is located in a model."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.align.forwards import FORWARD, split_forwards
from harness.compare.recording import OPERATOR
from harness.errors import NoSignalError
from harness.locate.find import Request, locate
from harness.locate.model import REGION, Located, Occurrence
from harness.trace import Trace, regions_table
from harness.trace.schema import ACTIVITIES

ENDS = (
    "where the operator begins and ends in the model is told by the mock's own list: what the mock "
    "lacks before its first launch or after its last is not seen; name its --region to see it"
)


def as_forwards(trace: Trace, what: str, path: Path) -> Trace:
    """A Trace whose forwards are in regions; one without such regions is one forward.

    Raises:
        NoSignalError: it holds no launch.
    """
    if not len(trace):
        raise NoSignalError(
            f"the {what} {path} holds no launch", fix="pass the Trace of an operator that ran"
        )
    return trace if split_forwards(trace) else forwards_of([range(len(trace))], trace)


def forwards_of(parts: Sequence[Sequence[int]], trace: Trace) -> Trace:
    """A Trace of these rows of another, each part in a region ``forward`` of its own."""
    regions = [{"id": number, "name": FORWARD} for number in range(1, len(parts) + 1)]
    rows = np.concatenate([np.asarray(part, np.int64) for part in parts])
    ids = np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])
    table = trace.activities.take(pa.array(rows))
    columns: dict[str, Any] = {name: table[name] for name in ACTIVITIES.names}
    columns["region"] = pa.array(ids, pa.int64())
    columns["launched_in"] = pa.nulls(len(ids), pa.int64())
    return Trace(pa.table(columns, schema=ACTIVITIES), trace.info, regions_table(regions))


def reference_forwards(
    trace: Trace, mock: Trace, request: Request, path: Path
) -> tuple[Trace, tuple[str, ...]]:
    """The reference's forwards, located first where the file is of a whole model."""
    if split_forwards(trace):
        inside = trace.in_region(OPERATOR)
        return as_forwards(inside if len(inside) else trace, "reference", path), ()
    found = locate(trace, replace(request, mock=mock))
    if not found.found:
        raise NoSignalError(
            f"the operator was not located in {path} by {found.method}: {found.reason}",
            fix="look with python -m harness.locate, or name it with --region, --pattern, --score",
        )
    chosen, left = _one_phase(_steady(found))
    text = (
        f"the reference is {len(chosen)} of {len(found.occurrences)} occurrences located in "
        f"{path.name} by {found.method} ({found.because}){left}"
    )
    ends = (ENDS,) if found.method != REGION else ()
    return forwards_of([one.rows for one in chosen], trace), (text, *ends, *found.notes)


def _steady(found: Located) -> list[Occurrence]:
    """The occurrences of steady steps; without any, those in a step; else all."""
    for states in (("steady",), ("steady", "warm-up", "unknown")):
        kept = [one for one in found.occurrences if one.state in states]
        if kept:
            return kept
    return list(found.occurrences)


def _one_phase(found: list[Occurrence]) -> tuple[list[Occurrence], str]:
    """Those of the phase with the better scores (median), and what was left out.

    Prefill and decode share most of their small kernels, so that a mock of one may be located in
    the other too. Within a phase nothing is chosen by its score, which would hide differences.
    """
    phases: dict[str, list[float]] = {}
    for one in found:
        phases.setdefault(one.phase, []).append(one.score or 0.0)
    medians = {phase: statistics.median(scores) for phase, scores in phases.items()}
    best = max(medians, key=lambda phase: medians[phase])
    others = [phase for phase in phases if phase != best]
    left = ", ".join(f"{len(phases[one])} in {one} score {medians[one]:.2f}" for one in others)
    kept = [one for one in found if one.phase == best]
    return kept, f"; left out: {left}, against {medians[best]:.2f} in {best}" if left else ""
