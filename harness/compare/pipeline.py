"""The order of a run: time every case untraced, and only then trace each of them.

A process that has traced stays slower, so no case of a run is timed after another was recorded.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from harness.align.observation import Observation
from harness.align.witness import Witness
from harness.compare.conclude import WITNESS, Compared, conclude
from harness.compare.job import Job
from harness.compare.options import Options
from harness.compare.recording import observe_layer, observe_side
from harness.compare.submodules import compare_submodules
from harness.compare.timing import Timed, compare_numerics, observe_untraced
from harness.compare.witness import run_witness
from harness.measure.model import Numerics
from ops.sides import Sides
from ops.spec import Differences

__all__ = ["WITNESS", "Compared", "Job", "conclude", "observe", "record_and_judge", "run"]


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
        return run_witness(job.case, options.forwards, options.replays, options.validator)


def _empty_cache() -> None:
    """Give the memory of what was closed back to the device."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
