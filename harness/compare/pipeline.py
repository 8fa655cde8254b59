"""The order of a run: time every case untraced, and only then trace each of them.

A process that has traced stays slower, so no case of a run is timed after another was recorded.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from harness.align.model import Alignment
from harness.align.observation import Observation
from harness.align.witness import Witness
from harness.compare.judged import judged
from harness.compare.options import Options
from harness.compare.recording import observe_layer, observe_side
from harness.compare.submodules import compare_submodules
from harness.compare.timing import Timed, compare_numerics, observe_untraced
from harness.compare.witness import run_witness
from harness.errors import InputError
from harness.measure.model import Numerics
from harness.report.environment import environment
from harness.report.side import side_json
from harness.trace import Trace
from ops.case import Case
from ops.sides import Sides
from ops.spec import Differences, FrameworkAdapter, OpSpec

WITNESS = "nsys witness"
"""Key of the witness's Trace in `Compared.traces`."""


@dataclass(frozen=True, eq=False)
class Compared:
    """An alignment and the Traces behind it, by side label and mode (``mock eager``)."""

    alignment: Alignment
    traces: dict[str, Trace]


@dataclass(frozen=True)
class Job:
    """One case of a run.

    Attributes:
        op, case, adapter: what to build and with what.
        differences: how the mock is to differ; by default not at all.
        altered: changes both sides after they were built (planted differences of benchmarks).
    """

    op: OpSpec
    case: Case
    adapter: FrameworkAdapter
    differences: Differences = Differences()
    altered: Callable[[Sides], Sides] | None = None

    def build(self, device: str) -> Sides:
        """Both sides on ``device``.

        Raises:
            InputError: this process is one rank of several.
        """
        _refuse_ranks()
        built = self.adapter.build(self.op, self.case, device, self.differences)
        another = built.another
        sides = self._altered(built)
        sides.another = None if another is None else lambda: self._altered(another())
        return sides

    def build_reduced(self) -> tuple[Sides, str]:
        """Both sides at a size that a CPU computes, and what was reduced."""
        op, case, text = self.op.reduce_for_cpu(self.case)
        return self._altered(self.adapter.build(op, case, "cpu", self._reduced(op))), text

    def _altered(self, sides: Sides) -> Sides:
        return self.altered(sides) if self.altered else sides

    def _reduced(self, op: OpSpec) -> Differences:
        """The differences at the reduced size: a changed size keeps its distance or its ratio."""
        config = {
            key: value * op.dimensions[key] // self.op.dimensions[key]
            if key in self.op.reduced_dimensions
            else value
            for key, value in self.differences.config.items()
        }
        case = self.op.reduce_for_cpu(self.case)[1]
        sizes = {
            key: _resized(value, getattr(self.case, key), getattr(case, key))
            if isinstance(value, int)
            else value
            for key, value in self.differences.case.items()
        }
        return replace(self.differences, config=config, case=sizes)


def _resized(value: int, whole: int, reduced: int) -> int:
    """A changed size at the reduced size: at its distance where that fits, else at its ratio."""
    distance = value - whole
    if abs(distance) < reduced:
        return reduced + distance
    return max(1, reduced * value // whole)


def _refuse_ranks() -> None:
    import torch

    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        ranks = distributed.get_world_size()
        if ranks > 1:
            raise InputError(
                f"this process is one of {ranks} ranks, and --tp stands for the local head count "
                "of a single one",
                fix="run it in a process without a process group",
            )


def run(jobs: Sequence[Job], options: Options) -> Generator[Compared, None, None]:
    """Compare every job; all are timed before the first is recorded.

    Yields:
        One result per job, in order, as soon as its recording is judged.
    """
    keep = len(jobs) == 1  # one case is built once; several would not fit into memory together
    timed: list[Timed] = []
    with ExitStack() as built:
        for job in jobs:
            sides = built.enter_context(_built(job, options))
            timed.append(_timed(job, sides, options))
            if not keep:
                built.close()
        for job, before in zip(jobs, timed, strict=True):
            if not keep:
                sides = built.enter_context(_built(job, options))
            observed = observe(sides, before, options)
            shared, notes = sides.shared, sides.notes
            if options.validator is not None:
                del sides
                built.close()  # the child builds the case again, in the same GPU's memory
                observed = replace(observed, witness=_witnessed(job, options))
            yield conclude(observed, options, job.case.to_dict(), shared, notes)
            built.close()


@contextmanager
def _built(job: Job, options: Options) -> Iterator[Sides]:
    with options.stage("building both sides"):
        sides = job.build(options.device)
    try:
        yield sides
    finally:
        sides.close()


def _timed(job: Job, sides: Sides, options: Options) -> Timed:
    with options.stage("numerics"):
        numerics, submodules = _numerics(job, sides, options)
    return replace(observe_untraced(sides, options, numerics, ""), submodules=submodules)


def _numerics(
    job: Job, sides: Sides, options: Options
) -> tuple[Numerics, tuple[tuple[str, Numerics], ...]]:
    """Outputs compared, and on request those of submodules."""
    if options.device != "meta":
        where = f"{options.device}, {job.case.new_tokens} tokens"
        inside = compare_submodules(sides, where) if options.submodules else ()
        return compare_numerics(sides, where), inside
    reduced, text = job.build_reduced()
    try:
        where = f"computed on the CPU at another size: {text}"
        inside = compare_submodules(reduced, where) if options.submodules else ()
        return compare_numerics(reduced, where), inside
    finally:
        reduced.close()


def record_and_judge(
    sides: Sides, timed: Timed, options: Options, case: dict[str, Any]
) -> Compared:
    """Record both sides and the running layer, and judge what was observed."""
    observed = observe(sides, timed, options)
    return conclude(observed, options, case, sides.shared, sides.notes)


def observe(sides: Sides, timed: Timed, options: Options) -> Observation:
    """Record both sides and the running layer."""
    mock = observe_side(sides.mock, options, timed)
    reference = observe_side(sides.reference, options, timed)
    layer = observe_layer(sides.in_layer, options) if sides.in_layer else None
    return Observation(
        mock,
        reference,
        layer,
        pair=timed.pair.measurement if timed.pair else None,
        untimed=timed.untimed,
        numerics=timed.numerics,
        no_numerics=timed.no_numerics,
        submodule_numerics=timed.submodules,
        conditions=timed.conditions,
        tolerance=options.tolerance,
        required=options.required,
        equivalences=options.equivalences,
        unshared_weights=sides.unshared_weights,
    )


def _witnessed(job: Job, options: Options) -> Witness:
    assert options.validator is not None
    with options.stage("running under nsys"):
        if job.altered or job.differences != Differences():
            text = "differences that were planted in this process cannot be built in another"
            return Witness(str(options.validator), problem=text)
        _empty_cache()
        return run_witness(job.case, options.forwards, options.validator)


def _empty_cache() -> None:
    """Give the memory of what was closed back to the device."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def conclude(
    observed: Observation,
    options: Options,
    case: dict[str, Any],
    shared: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Compared:
    """Judge an observation and put everything that a report shows into an Alignment."""
    where = environment(sys.argv)
    found = judged(observed, case, options.known, where["versions"])
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
    traces = {
        f"{side.label} {mode}": trace
        for side in observed.sides
        for mode, trace in (("eager", side.eager), ("replay", side.replay))
        if trace is not None
    }
    if observed.witness is not None and observed.witness.trace is not None:
        traces[WITNESS] = observed.witness.trace
    return Compared(alignment, traces)


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
