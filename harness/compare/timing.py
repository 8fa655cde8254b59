"""First half of a run, before anything is traced: numerics, data flow, latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.compare.options import Options
from harness.measure.conditions import ConditionsWatch
from harness.measure.model import Conditions, Numerics
from harness.measure.numerics import compare_outputs
from harness.measure.paired import PairRun, measure_pair
from harness.record.dataflow import Flow, record_dataflow
from ops.sides import Side, Sides


@dataclass(frozen=True)
class Timed:
    """What was found before tracing.

    Attributes:
        numerics: outputs compared, or None with ``no_numerics`` saying why.
        flows: per side label, the tensors at each submodule.
        pair: latency and graphs, or None with ``untimed`` saying why.
        conditions: state of the card around timing.
    """

    numerics: Numerics | None
    no_numerics: str
    flows: dict[str, tuple[Flow, ...]]
    pair: PairRun | None
    untimed: str
    conditions: Conditions | None


def call_once(side: Side) -> Any:
    """One forward from the side's starting state, inside its context."""
    side.reset()
    with side.context():
        result = side.call()
    side.reset()
    return result


REFERENCE_CALLS = 3
"""Outputs of the reference: one to compare with, two that show how far it differs from itself."""


def compare_numerics(sides: Sides, where: str) -> Numerics:
    """Run both sides and compare their outputs."""
    references = [_output(sides.reference) for _ in range(REFERENCE_CALLS)]
    return compare_outputs(_output(sides.mock), references, where)


def _output(side: Side) -> Any:
    """The output of one call, in memory that the next call does not overwrite."""
    found = side.output(call_once(side))
    return found.clone() if hasattr(found, "clone") else found


def observe_flows(sides: Sides) -> dict[str, tuple[Flow, ...]]:
    """Run each side that is a module once and note the tensors at its submodules."""
    found = {}
    for side in (sides.mock, sides.reference):
        if side.module is not None:
            with record_dataflow(side.module) as flows:
                call_once(side)
            found[side.label] = tuple(flows)
    return found


def observe_untraced(
    sides: Sides, options: Options, numerics: Numerics | None, no_numerics: str
) -> Timed:
    """Data flow and latency of both sides, with nothing traced.

    Args:
        sides: both sides, built.
        options: device, tolerance, instances, cache, time budget, rounds.
        numerics, no_numerics: the outputs' comparison, made before.
    """
    with options.stage("data flow"):
        flows = observe_flows(sides)
    if options.device != "cuda":
        reason = f"no CUDA device: nothing runs on a GPU here (device {options.device})"
        return Timed(numerics, no_numerics, flows, None, reason, None)
    with options.stage("timing"):
        watch = ConditionsWatch(options.device)
        pair = measure_pair(
            sides.mock,
            sides.reference,
            tolerance=options.tolerance,
            another=sides.another,
            instances=options.instances,
            cache=options.cache,
            time_budget=options.time_budget,
            rounds=options.rounds,
        )
        return Timed(numerics, no_numerics, flows, pair, "", watch.finish())
