"""Compare everything that a session collected: time all pairs, then record all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.align.observation import Observation, SideObservation
from harness.compare.options import Options
from harness.compare.pipeline import Compared, conclude, record_and_judge
from harness.compare.recording import record_eager
from harness.compare.timing import Timed, numerics_or_reason, observe_untraced
from harness.record.choose import choose_recorder
from harness.session.entries import NO_REFERENCE, Entry
from harness.session.results import AlignmentSession
from ops.registry import choose_framework
from ops.sides import Side, Sides

if TYPE_CHECKING:
    from harness.session.align_op import align_op


def evaluate(session: AlignmentSession, request: align_op) -> None:
    """Fill ``session.results``, one per entry, in order."""
    if not session.entries:
        return
    options = _options(request)
    prepared = [_prepare(entry, request, options) for entry in session.entries]
    for entry, (sides, timed, reason) in zip(session.entries, prepared, strict=True):
        facts = _case_facts(entry, request)
        if sides is None or timed is None:
            session.add(_without_reference(entry, options, facts, reason))
        else:
            chosen = replace(options, framework_reason=reason)
            session.add(record_and_judge(sides, timed, chosen, facts))
            sides.close()


def _options(request: align_op) -> Options:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    recorder, reason = choose_recorder(request.recorder, device)
    return Options(device, recorder, reason, tolerance=request.tolerance)


def _prepare(
    entry: Entry, request: align_op, options: Options
) -> tuple[Sides | None, Timed | None, str]:
    """Both sides and what was measured of them, or why there is no reference."""
    sides, reason = _sides(entry, request, options)
    if sides is None:
        return None, None, reason
    numerics, no_numerics = numerics_or_reason(sides, f"{options.device}, as called")
    if numerics is not None and not entry.shared_weights and numerics.mismatched > 0:
        no_numerics = (
            "outputs differ, but whether weights and inputs are shared is not known; say so with "
            "alignment.mock(..., shared_weights=True) to have it judged"
        )
        numerics = None
    return sides, observe_untraced(sides, options, numerics, no_numerics), reason


def _sides(entry: Entry, request: align_op, options: Options) -> tuple[Sides | None, str]:
    if entry.reference is not None:
        return Sides(entry.mock, entry.reference), ""
    if entry.case is None:
        return None, NO_REFERENCE
    adapter, why = choose_framework(request.op, request.framework)
    case = replace(entry.case, framework=adapter.name)
    built = adapter.build(request.op, case, options.device)
    entry.case = case
    mock = entry.mock
    return replace(built, mock=mock, shared=(), unshared_weights=()), why


def _without_reference(
    entry: Entry, options: Options, facts: dict[str, Any], reason: str
) -> Compared:
    mock: Side = entry.mock
    trace = record_eager(mock, options)
    observed = Observation(
        SideObservation("mock", mock.describe, eager=trace), None, reference_missing=reason
    )
    return conclude(observed, options, facts)


def _case_facts(entry: Entry, request: align_op) -> dict[str, Any]:
    if entry.case is not None:
        return entry.case.to_dict()
    given = {name: value for name, value in request.given.items() if value is not None}
    return {"op": request.op.name, **given}
