"""A comparison of two files: what was recorded earlier, here or by another tool.

Nothing is run. The structural checks are made on the lists; latency is that of the evidence beside
the Traces; everything that only a run can tell is skipped with that reason. A reference that is the
Trace of a whole model is located first.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.align.checks.graph_of_files import in_graphs
from harness.align.declaration import versions_of_all
from harness.align.explain.explain import causes_of_an_empty_file
from harness.align.model import Verdict
from harness.align.observation import Observation, SideObservation
from harness.compare.conclude import Compared, conclude
from harness.compare.file_sides import ReferenceFound, as_forwards, reference_forwards
from harness.compare.options import Options
from harness.compare.spelling import one_spelling
from harness.compare.stored import Stored, stored_beside, stored_pair
from harness.errors import InputError, NoSignalError
from harness.locate import Request
from harness.record.base import Recording
from harness.record.files import read_trace_file
from harness.trace import Trace, TraceInfo, activities_table
from ops.spec import OpSpec

NOT_RUN = "two files were compared and nothing was run"


class FilesRecorder:
    """Stands for the recorders of two files; records nothing.

    Args:
        name: of those recorders.
    """

    def __init__(self, name: str = "files") -> None:
        self.name = name

    def available(self) -> tuple[bool, str]:
        """Never: it only names where the files came from."""
        return False, NOT_RUN

    def record(self) -> AbstractContextManager[Recording]:
        """Refuse.

        Raises:
            InputError: always.
        """
        raise InputError(NOT_RUN, fix="leave out --from to record")

    def watch_captures(self) -> AbstractContextManager[None]:
        """Nothing to watch."""
        return nullcontext()


def compare_files(
    mock: Path, reference: Path, options: Options, request: Request, op: OpSpec | None = None
) -> Compared:
    """Judge two files; where the operator is not in the model, the verdict says so.

    Args:
        mock: a Trace of the operator alone.
        reference: one of the reference operator (with regions ``forward``), or of a whole model.
        options: tolerance, required checks and equivalences count.
        request: what the user named to search a whole model by; its mock is set here.
        op: the operator; its region and kernels are searched for where ``request`` names none, and
            its sizes and known differences apply.

    Raises:
        InputError, TraceFormatError: a file cannot be used.
    """
    (ours, silent), (theirs, silent_too) = _read(mock, "mock"), _read(reference, "reference")
    said = silent or silent_too
    if said:
        case, _ = _case(None, op, mock, reference)
        named = replace(options, recorder=FilesRecorder(), recorder_reason=NOT_RUN)
        side = _side("mock", mock.name, as_forwards(ours))
        empty = _not_located(said, side, theirs, named, case)
        return replace(empty, alignment=replace(empty.alignment, summary=said.missing))
    beside = stored_beside(mock, ours), stored_beside(reference, theirs)
    alone = beside[1].document is not None and beside[1].label == "reference"
    one = as_forwards(ours)
    found = reference_forwards(theirs, one, request, reference, op=op, alone=alone)
    stored = stored_pair(*beside, options.tolerance)
    case, notes = _case(stored.case, op, mock, reference)
    source = f"{ours.info.source}, {theirs.info.source}"
    named = replace(options, recorder=FilesRecorder(source), recorder_reason=NOT_RUN)
    mine, other = f"{mock.name} ({ours.info.source})", f"{reference.name} ({theirs.info.source})"
    if found.forwards is None:
        return _not_located(found, _side("mock", mine, one), theirs, named, case)
    one, reference_list, spelled = one_spelling(one, found.forwards)
    replayed = in_graphs(one) and in_graphs(reference_list)
    observed = replace(
        _observed(_side("mock", mine, one, replayed), options),
        reference=_side("reference", other, reference_list, replayed),
        pair=stored.pair,
        untimed=stored.untimed,
        conditions=stored.conditions,
    )
    versions = versions_of_all(*map(_versions, beside, (ours, theirs)))
    notes = (*notes, *found.notes, *spelled)
    return conclude(observed, named, case, notes=notes, versions=versions)


def _versions(stored: Stored, trace: Trace) -> dict[str, str]:
    """Of the packages that a Trace was recorded with, as the file and its evidence say."""
    environment = (stored.document or {}).get("environment", {})
    return {**trace.info.versions, **environment.get("versions", {})}


def _read(path: Path, label: str) -> tuple[Trace, ReferenceFound | None]:
    """A file's Trace; an empty one, and why, where its reader finds nothing that a GPU ran."""
    try:
        return read_trace_file(path), None
    except NoSignalError as error:
        nothing = Trace(activities_table({}), TraceInfo("file"))
        causes = causes_of_an_empty_file(label)
        return nothing, ReferenceFound(None, f"the {label}'s file: {error}", causes=causes)


def _case(
    stored: Mapping[str, Any] | None, op: OpSpec | None, mock: Path, reference: Path
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The case that was run, as far as the evidence and the user tell it, and a note."""
    if stored is None:
        name = op.name if op else "operator"
        return {"op": name, "mock": mock.name, "reference": reference.name}, ()
    if op is None or stored.get("op") == op.name:
        return dict(stored), ()
    note = f"the evidence beside the files is of --op {stored.get('op')}; compared as {op.name}"
    return {**stored, "op": op.name}, (note,)


def _side(label: str, describe: str, forwards: Trace, replayed: bool = False) -> SideObservation:
    return SideObservation(
        label,
        describe,
        eager=None if replayed else forwards,
        replay=forwards if replayed else None,
        flows_missing=NOT_RUN,
    )


def _observed(mock: SideObservation, options: Options) -> Observation:
    """What is seen of a mock's list alone, where nothing was run."""
    return Observation(
        mock,
        None,
        untimed=NOT_RUN,
        no_numerics=NOT_RUN,
        tolerance=options.tolerance,
        required=options.required,
        equivalences=options.equivalences,
        unwitnessed=NOT_RUN,
        live=False,
    )


def _not_located(
    found: ReferenceFound, mock: SideObservation, model: Trace, options: Options,
    case: dict[str, Any],
) -> Compared:  # fmt: skip
    """The verdict where the operator is not in the model: no signal, or an invalid capture where
    the model's records are not complete."""
    observed = replace(_observed(mock, options), reference_missing=found.missing)
    compared = conclude(observed, options, case, notes=found.notes)
    alignment = compared.alignment
    alignment = replace(alignment, causes=found.causes or alignment.causes)
    if model.info.incomplete:
        lost = "; ".join(f"reference: {reason}" for reason in model.info.incomplete)
        summary = f"{alignment.summary}; the records are not complete: {lost}"
        alignment = replace(alignment, verdict=Verdict.INVALID_CAPTURE, summary=summary)
    return replace(compared, alignment=alignment)
