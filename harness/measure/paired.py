"""Two sides timed side by side until their ratio is decided, as graphs where both capture."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from harness.errors import InputError, MissingDeviceError
from harness.measure.cache import check_cache
from harness.measure.estimate import METHOD
from harness.measure.growing import Sampled, sample_growing
from harness.measure.instances import Instances, add_instances, make_instances
from harness.measure.model import GraphTopology, Measurement, NoiseFloor, PairedMeasurement
from harness.measure.sequential import Look, Sequential
from harness.measure.unroll import Unrolled, capture_unrolled
from ops.sides import Side, Sides

TIME_BUDGET_S = 20.0
INSTANCES = 2
"""Per side to begin with: where one lies in memory moves an operator, and two show by how much."""


@dataclass(frozen=True)
class PairRun:
    """A paired measurement and the graphs that were timed.

    Attributes:
        measurement: samples, ratio, interval, decision.
        mock_topology, reference_topology: of one call, where it could be read.
        mock_graph_problem, reference_graph_problem: why a side could not be captured; empty when
            it could (even if its topology could not be read: that is in the notes).
    """

    measurement: PairedMeasurement
    mock_topology: GraphTopology | None = None
    reference_topology: GraphTopology | None = None
    mock_graph_problem: str = ""
    reference_graph_problem: str = ""


def measure_pair(
    mock: Side,
    reference: Side,
    *,
    tolerance: float,
    another: Callable[[], Sides] | None = None,
    instances: int | None = None,
    cache: str = "warm",
    time_budget: float = TIME_BUDGET_S,
    rounds: int | None = None,
    eager: bool = False,
    seed: int = 0,
) -> PairRun:
    """Time both sides on the current CUDA device until the ratio is decided.

    When one side cannot be captured both are timed eagerly, and the notes say why.

    Args:
        mock, reference: what to time.
        tolerance: of the ratio, as a fraction.
        another: builds both sides once more; None leaves one instance a side, and the notes say so.
        instances: of each side; None begins with 2 and adds more, up to 64, where allocations are
            what keeps the ratio undecided.
        cache: ``warm`` or ``cold``.
        time_budget: seconds of sampling after which an open question stays undecided.
        rounds: that many blocks and one look at them; None looks again and again.
        eager: time eager calls even where both sides capture.
        seed: of the order within the blocks.

    Raises:
        MissingDeviceError: no CUDA device.
        InputError: fewer than 3 rounds, no instance, no time, or an unknown cache state.
    """
    import torch

    _check(instances, time_budget, rounds)
    kind = check_cache(cache)
    if not torch.cuda.is_available():
        raise MissingDeviceError("there is no CUDA device to time on", fix="use a machine with one")
    with ExitStack() as closing:
        start = time.monotonic()
        unrolled = capture_unrolled(mock, reference, closing, single=kind == "cold", eager=eager)
        made = make_instances(unrolled, another, instances or INSTANCES, closing)
        question = Sequential(tolerance, fixed=rounds)
        grow = another is not None and instances is None and rounds is None
        sampled = sample_growing(
            made,
            kind,
            seed,
            [question],
            budget_s=time_budget,
            rounds=rounds,
            extend=partial(_extend, made, unrolled, another, closing) if grow else None,
        )
        assert question.last is not None
        seconds = time.monotonic() - start - made.building_s
        found = _result(unrolled, made, sampled, question.last, seconds)
        return PairRun(found, *unrolled.topologies, *unrolled.problems)


def _extend(
    made: Instances,
    unrolled: Unrolled,
    another: Callable[[], Sides] | None,
    closing: ExitStack,
    wanted: int,
) -> None:
    add_instances(made, unrolled, another, wanted, closing)


def _check(instances: int | None, time_budget: float, rounds: int | None) -> None:
    if instances is not None and instances < 1:
        raise InputError(f"{instances} instances", fix="measure at least 1")
    if not time_budget > 0:
        raise InputError(f"a time budget of {time_budget} s", fix="give seconds above 0")
    if rounds is not None and rounds < 3:
        raise InputError(f"{rounds} blocks of samples give no interval", fix="measure at least 3")


def _result(
    unrolled: Unrolled,
    made: Instances,
    sampled: Sampled,
    look: Look,
    seconds: float,
) -> PairedMeasurement:
    count, run, rows = len(made.mock), sampled.run, sampled.rows

    def measured(label: str, first: int) -> Measurement:
        times = tuple(value for row in rows for value in row[first : first + count])
        return Measurement(label, times, unrolled.calls, unrolled.mode, instances=count)

    found = look.diagnosis
    return PairedMeasurement(
        measured(unrolled.mock.label, 0),
        measured(unrolled.reference.label, count),
        look.estimate.ratio,
        look.interval,
        METHOD,
        (*unrolled.notes, *made.notes, *sampled.notes, *run.notes, *found.notes),
        decision=str(look.decision),
        undecided_because=look.reason,
        floor=_floor(look, made),
        cache=run.cache.kind,
        cache_state=run.cache.state,
        gap_share=unrolled.gap_share,
        blocks=len(rows),
        looks=look.number,
        seconds=seconds,
        drift=found.drift,
        slow_samples=(found.slow_mock, found.slow_reference),
        levels=(found.levels_mock, found.levels_reference),
    )


def _floor(look: Look, made: Instances) -> NoiseFloor | None:
    if look.floor is None:
        return None
    return NoiseFloor(look.floor.ratio, look.floor.interval(), made.floor_is)
