"""Forwards of a side out of a file: those it has, the whole, or what is located in a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.align.forwards import FORWARD, split_forwards
from harness.align.model import Cause
from harness.compare.occurrences import BY_REGION, chosen
from harness.compare.recording import OPERATOR
from harness.errors import HarnessError, NoSignalError
from harness.locate import Located, Request, locate
from harness.trace import Trace, regions_table
from harness.trace.schema import ACTIVITIES
from ops.spec import OpSpec

MODEL_SIZED = 20_000
"""Launches from which a mock is no operator but a model; a DSA layer launches some 50 to 110."""

LOOK = "look with python -m harness.locate, or name it with --region, --pattern, --score"


@dataclass(frozen=True, eq=False)
class ReferenceFound:
    """The reference out of a file.

    Attributes:
        forwards: of the operator, each in a region ``forward``; None where it was not located.
        missing: why not, and what to do.
        notes: how they were chosen.
        causes: why it may not be there.
    """

    forwards: Trace | None
    missing: str = ""
    notes: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()


def as_forwards(trace: Trace) -> Trace:
    """A Trace whose forwards are in regions; one without such regions is one forward."""
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
    trace: Trace,
    mock: Trace,
    request: Request,
    path: Path,
    *,
    op: OpSpec | None = None,
    alone: bool = False,
) -> ReferenceFound:
    """The reference's forwards, located first where the file is of a whole model.

    What ``request`` names (a region, patterns) is always located, and so is the mock in a Trace
    without forwards. Forwards that are longer than the mock's are searched as well
    (`_whole_model`).

    Args:
        trace: the reference's file.
        mock: forwards of the mock.
        request: what the user named to search by; its mock is set here.
        path: of the reference, for the reader.
        op: searched for by its region and kernels, where ``request`` names none.
        alone: the Trace is known to hold nothing but the operator.

    Raises:
        InputError: the model has no such region, or the mock ran on several devices.
    """
    if not len(trace) or not len(mock):  # nothing to look in, or for: the verdict says so
        return ReferenceFound(as_forwards(trace))
    asked = bool(request.region or request.patterns)
    if not asked and not split_forwards(trace) and _of_a_model(mock, trace):
        note = f"the reference is the whole of {path.name}: the mock is longer than an operator"
        return ReferenceFound(as_forwards(trace), notes=(f"{note}; {LOOK}",))
    request = _with_op(replace(request, mock=mock), op)
    if asked or not split_forwards(trace):
        return _located(trace, request, path)
    inside = trace.in_region(OPERATOR)
    if len(inside):
        note = f"the reference is what the regions {OPERATOR!r} of {path.name} launched"
        return ReferenceFound(inside, notes=(note,))
    return ReferenceFound(trace) if alone else _whole_model(trace, request, path)


def _of_a_model(mock: Trace, model: Trace) -> bool:
    """Whether the mock is so long that it is a model's own list, of which no second one fits."""
    longest = max(len(one) for one in split_forwards(mock))
    return longest >= MODEL_SIZED and 2 * longest > len(model)


def _with_op(request: Request, op: OpSpec | None) -> Request:
    """With the operator's usual region, and its kernels where none were named."""
    if op is None:
        return request
    usual = request.usual_region or (f"*{op.submodule}" if op.submodule else None)
    patterns = request.patterns or op.kernel_patterns
    return replace(request, usual_region=usual, patterns=patterns)


def _located(trace: Trace, request: Request, path: Path) -> ReferenceFound:
    try:
        found = locate(trace, request)
    except NoSignalError as error:
        return ReferenceFound(None, f"the operator was not located in {path}: {error}")
    if not found.found:
        missing = f"the operator was not located in {path} by {found.method}: {found.reason}; "
        return ReferenceFound(None, missing + LOOK, found.notes, found.causes)
    return _occurrences(found, trace, path)


def _occurrences(found: Located, trace: Trace, path: Path) -> ReferenceFound:
    kept, notes = chosen(found, path)
    return ReferenceFound(forwards_of([one.rows for one in kept], trace), notes=notes)


def _whole_model(trace: Trace, request: Request, path: Path) -> ReferenceFound:
    """What is located inside forwards, or the forwards themselves, and a note that says which.

    A forward may be that of a whole model or of the operator alone. It is of a model where regions
    of the operator lie in it, or where it holds the mock's list several times. One that holds it
    once may as well be the operator with launches that the mock lacks at an end; then the forwards
    are compared, so that nothing that the mock lacks is hidden.
    """
    assert request.mock is not None
    forwards = [len(one) for one in split_forwards(trace) if len(one)]
    mine = max(len(one) for one in split_forwards(request.mock))
    whole = f"the reference is the whole of {len(forwards)} forwards in {path.name}"
    if not forwards or max(forwards) <= mine:
        return ReferenceFound(trace, notes=(f"{whole}, no longer than the mock's",))
    lengths = f"{max(forwards)} launches against {mine} of the mock"
    try:
        found = locate(trace, request)
    except HarnessError as error:
        return ReferenceFound(trace, notes=(f"{whole} ({lengths}), not searched: {error}",))
    if found.method == BY_REGION and found.found:
        return _occurrences(found, trace, path)
    if len(found.occurrences) >= 2 * len(forwards):
        return _occurrences(found, trace, path)
    where = (
        "hold the mock's list once: the operator alone, or a model of one layer"
        if found.found
        else f"do not hold the mock's list ({found.reason})"
    )
    note = f"{whole} ({lengths}), which {where}; if it is a model, name the operator's --region"
    return ReferenceFound(trace, notes=(note,))
