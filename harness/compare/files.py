"""A comparison of two files: what was recorded earlier, here or by another tool.

Nothing is run. The structural checks are made on the lists; latency is that of the evidence beside
the Traces; everything that only a run can tell is skipped with that reason. A reference that is the
Trace of a whole model is located first.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from harness.align.observation import Observation, SideObservation
from harness.compare.file_sides import as_forwards, reference_forwards
from harness.compare.options import Options
from harness.compare.pipeline import Compared, conclude
from harness.compare.stored import stored_beside, stored_pair
from harness.errors import InputError
from harness.locate.find import Request
from harness.record.base import Recording
from harness.record.files import read_trace_file
from harness.trace import Trace

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


def compare_files(mock: Path, reference: Path, options: Options, request: Request) -> Compared:
    """Judge two files.

    Args:
        mock: a Trace of the operator alone.
        reference: one of the reference operator (with regions ``forward``), or of a whole model.
        options: tolerance, required checks and equivalences count.
        request: how a whole model is searched; its mock is set here.

    Raises:
        InputError, TraceFormatError: a file cannot be used.
        NoSignalError: the operator is not in the model, or a file holds no launch.
    """
    ours, theirs = read_trace_file(mock), read_trace_file(reference)
    one, mine = as_forwards(ours, "mock", mock), f"{mock.name} ({ours.info.source})"
    other, notes = reference_forwards(theirs, one, request, reference)
    replayed = _in_graphs(one) and _in_graphs(other)
    if _in_graphs(one) != _in_graphs(other):
        graph, eager = ("mock", "reference") if _in_graphs(one) else ("reference", "mock")
        notes += (f"the {graph}'s list is of graph replays, the {eager}'s eager",)
    stored = stored_pair(
        stored_beside(mock, ours), stored_beside(reference, theirs), options.tolerance
    )
    observed = Observation(
        _side("mock", mine, one, replayed),
        _side("reference", f"{reference.name} ({theirs.info.source})", other, replayed),
        pair=stored.pair,
        untimed=stored.untimed,
        no_numerics=NOT_RUN,
        conditions=stored.conditions,
        tolerance=options.tolerance,
        required=options.required,
        equivalences=options.equivalences,
        unwitnessed=NOT_RUN,
        live=False,
    )
    source = f"{ours.info.source}, {theirs.info.source}"
    named = replace(options, recorder=FilesRecorder(source), recorder_reason=NOT_RUN)
    case = stored.case or {"op": "operator", "mock": mock.name, "reference": reference.name}
    return conclude(observed, named, dict(case), notes=notes)


def _side(label: str, describe: str, forwards: Trace, replayed: bool) -> SideObservation:
    return SideObservation(
        label,
        describe,
        eager=None if replayed else forwards,
        replay=forwards if replayed else None,
        flows_missing=NOT_RUN,
    )


def _in_graphs(trace: Trace) -> bool:
    """Whether kernels were launched by graphs."""
    column = trace.activities["graph"]
    return bool(len(column) > 2 * column.null_count)
