"""First half of a run, before anything is traced: numerics, data flow, latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.compare.options import Options
from harness.measure.conditions import ConditionsWatch
from harness.measure.model import Conditions, Numerics
from harness.measure.numerics import compare_outputs
from harness.measure.paired import PairRun, measure_pair
from harness.record.calls import ModuleCall, record_calls
from harness.record.dataflow import Flow, record_dataflow
from harness.record.weights import WeightSpecs, weight_specs
from ops.sides import Side, Sides


@dataclass(frozen=True)
class ModuleSeen:
    """One forward of a side that is a module.

    Attributes:
        flows: tensors at each submodule.
        calls: the calls of the module, by their arguments.
        weights: of each submodule.
    """

    flows: tuple[Flow, ...] = ()
    calls: tuple[ModuleCall, ...] = ()
    weights: tuple[WeightSpecs, ...] = ()


@dataclass(frozen=True)
class Timed:
    """What was found before tracing.

    Attributes:
        numerics: outputs compared, or None with ``no_numerics`` saying why.
        submodules: those of named submodules, on request.
        flows: per side label, what was seen of its module.
        pair: latency and graphs, or None with ``untimed`` saying why.
        conditions: state of the card around timing.
    """

    numerics: Numerics | None
    no_numerics: str
    flows: dict[str, ModuleSeen]
    pair: PairRun | None
    untimed: str
    conditions: Conditions | None
    submodules: tuple[tuple[str, Numerics], ...] = ()


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


def observe_flows(sides: Sides) -> dict[str, ModuleSeen]:
    """Run each side that is a module once and note its call and the tensors at its submodules."""
    found = {}
    for side in (sides.mock, sides.reference):
        if side.module is not None:
            with (
                record_dataflow(side.module) as flows,
                record_calls(side.module, side.metadata, side.own_fields) as calls,
            ):
                call_once(side)
            weights = weight_specs(side.module)
            found[side.label] = ModuleSeen(tuple(flows), tuple(calls), weights)
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
