"""Compare everything that a session collected: time all pairs, then record all of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.align.observation import Observation, SideObservation
from harness.compare.options import Options, Stage
from harness.compare.pipeline import Compared, conclude, record_and_judge
from harness.compare.progress import progress
from harness.compare.recording import record_eager
from harness.compare.timing import Timed, compare_numerics, observe_untraced
from harness.measure.model import Numerics
from harness.record.choose import choose_recorder
from harness.session.entries import NO_REFERENCE, Entry
from harness.session.results import AlignmentSession
from ops.registry import choose_framework
from ops.sides import Sides

if TYPE_CHECKING:
    from harness.session.align_op import align_op


def check_recorder(wanted: str) -> None:
    """Fail now if the recorder cannot run here; see `harness.record.choose.choose_recorder`."""
    choose_recorder(wanted, _kind(None))


def evaluate(session: AlignmentSession, entries: Sequence[Entry], request: align_op) -> None:
    """Compare: time all of them, then record all of them; one result each, in order.

    Args:
        session: gets the results.
        entries: of the session; they and what they hold are let go of by the caller.
        request: how to compare.
    """
    if not entries:
        return
    with progress() as stage, ExitStack() as built:
        prepared = []
        for entry in entries:
            with _on(entry):
                prepared.append(_prepare(entry, request, stage, built))
        for entry, (sides, timed, options) in zip(entries, prepared, strict=True):
            facts = _case_facts(entry, request)
            with _on(entry):
                if sides is None or timed is None:
                    compared = _without_reference(entry, options, facts)
                else:
                    compared = record_and_judge(sides, timed, options, facts)
            session.add(compared.alignment, entry.outcome)


def _kind(entry: Entry | None) -> str:
    """``cuda`` or ``cpu``: where an entry runs."""
    import torch

    if entry is not None and entry.device is not None:
        return entry.device.type
    return "cuda" if torch.cuda.is_available() else "cpu"


def _on(entry: Entry) -> AbstractContextManager[Any]:
    """The device that the entry was benchmarked on as the current one."""
    import torch

    device = entry.device
    return torch.cuda.device(device) if device and device.type == "cuda" else nullcontext()


def _prepare(
    entry: Entry, request: align_op, stage: Stage, built: ExitStack
) -> tuple[Sides | None, Timed | None, Options]:
    """Both sides and what was measured of them; no sides where there is no reference."""
    kind = _kind(entry)
    recorder, reason = choose_recorder(request.recorder, kind)
    options = Options(kind, recorder, reason, tolerance=request.tolerance, stage=stage)
    if entry.reference is None and request.reference is not None:
        entry.give_reference(request.reference)
    if entry.reference is not None:
        sides = Sides(entry.mock, entry.reference)
    else:
        case = entry.case or request.given.case
        if case is None:
            return None, None, options
        adapter, why = choose_framework(request.op, request.framework)
        entry.case = replace(case, framework=adapter.name)
        options = replace(options, framework_reason=why)
        whole = adapter.build(request.op, entry.case, kind)
        built.callback(whole.close)
        sides = replace(whole, mock=entry.mock, shared=(), unshared_weights=())
    with stage("numerics"):
        numerics, no_numerics = _numerics(sides, entry, kind)
    return sides, observe_untraced(sides, options, numerics, no_numerics), options


def _numerics(sides: Sides, entry: Entry, kind: str) -> tuple[Numerics | None, str]:
    """Outputs compared, or why they say nothing."""
    found = compare_numerics(sides, f"{kind}, as called")
    if entry.shared_weights or (found.mismatched == 0.0 and not found.problem):
        return found, ""
    if found.problem and entry.reference is not None:
        return found, ""  # whatever the weights are, shapes and dtypes of two equals agree
    what = found.problem or "outputs differ"
    return None, (
        f"{what}, but whether weights and inputs are shared is not known; say so with "
        "alignment.mock(..., shared_weights=True) to have it judged"
    )


def _without_reference(entry: Entry, options: Options, facts: dict[str, Any]) -> Compared:
    mock = entry.mock
    observed = Observation(
        SideObservation("mock", mock.describe, eager=record_eager(mock, options)),
        None,
        reference_missing=NO_REFERENCE.format(label=entry.label),
    )
    return conclude(observed, options, facts)


def _case_facts(entry: Entry, request: align_op) -> dict[str, Any]:
    if entry.case is not None:
        return entry.case.to_dict()
    given = {name: value for name, value in request.given.sizes.items() if value is not None}
    return {"op": request.op.name, **given}
