"""From what was observed to everything that a report shows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.align.model import Alignment
from harness.align.observation import Observation
from harness.compare.judged import judged
from harness.compare.options import Options
from harness.report.environment import environment
from harness.report.side import side_json
from harness.trace import Trace

WITNESS = "nsys witness"
"""Key of the witness's Trace in `Compared.traces`."""


@dataclass(frozen=True, eq=False)
class Compared:
    """An alignment and the Traces behind it, by side label and mode (``mock eager``)."""

    alignment: Alignment
    traces: dict[str, Trace]


def conclude(
    observed: Observation,
    options: Options,
    case: dict[str, Any],
    shared: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    versions: Mapping[str, str] | None = None,
) -> Compared:
    """Judge an observation and put everything that a report shows into an Alignment.

    Args:
        observed: both sides.
        options: how they were compared.
        case: its fields.
        shared: what both sides share, a phrase each.
        notes: for the reader.
        versions: of the packages that the sides were recorded with, by which declared differences
            are tied; None: those of this process.
    """
    where = environment(sys.argv)
    tied = where["versions"] if versions is None else versions
    found = judged(observed, case, options.known, tied)
    share_note = (f"both sides share only: {', '.join(shared)}",) if shared else ()
    equated = tuple(observed.equated) if observed.reference else ()
    witness_notes = observed.witness.notes if observed.witness else ()
    alignment = Alignment(
        case=case,
        verdict=found.judgement.verdict,
        summary=found.judgement.summary,
        checks=found.judgement.checks,
        kernels=found.judgement.kernels,
        recorder=options.recorder.name,
        recorder_reason=options.recorder_reason,
        framework_reason=options.framework_reason,
        sides=_sides(observed),
        environment=where,
        notes=(*share_note, *notes, *equated, *witness_notes),
        tolerance=options.tolerance,
        required=tuple(sorted(options.required)),
        equivalences=tuple(known.name for known in options.equivalences),
        causes=found.causes,
        known=found.known,
        integration=found.integration,
    )
    return Compared(alignment, _traces(observed))


def _traces(observed: Observation) -> dict[str, Trace]:
    traces = {
        f"{side.label} {mode}": trace
        for side in observed.sides
        for mode, trace in (("eager", side.eager), ("replay", side.replay))
        if trace is not None
    }
    if observed.witness is not None and observed.witness.trace is not None:
        traces[WITNESS] = observed.witness.trace
    return traces


def _sides(observed: Observation) -> dict[str, Any]:
    measured = {}
    if observed.pair is not None:
        measured = {"mock": observed.pair.mock, "reference": observed.pair.reference}
    return {
        side.label: side_json(
            side.describe,
            side.eager_forwards[-1] if side.eager_forwards else None,
            side.replay_forwards[-1] if side.replay_forwards else None,
            measured.get(side.label),
            list(side.flows) if side.flows is not None else None,
            side.recorded_topology or side.timed_topology,
            side.graph_problem,
        )
        for side in observed.sides
    }
