"""Two sides timed side by side: interleaved, in random order, as graphs where both capture."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from harness.errors import MissingDeviceError
from harness.measure.events import EventSample, calls_per_sample, sample_eager, sample_replays
from harness.measure.graph import CapturedGraph, CaptureError, capture
from harness.measure.model import GraphTopology, Measurement, PairedMeasurement
from harness.measure.statistics import METHOD, paired_ratio
from harness.measure.warmup import WarmUp, warm_up
from ops.sides import Side

ROUNDS = 40
FEWEST_ROUNDS = 20
"""With fewer pairs the 95 % interval of a median reaches into the outermost samples."""

BUDGET_MS = 10_000.0
"""Sampling aims to stay below this by making fewer rounds."""

Sampler = Callable[[int], EventSample]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PairRun:
    """A paired measurement and the graphs that were timed.

    Attributes:
        measurement: samples, ratio, interval.
        mock_topology, reference_topology: what was captured, where it could be read.
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
    rounds: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> PairRun:
    """Time both sides on the current CUDA device.

    When one side cannot be captured both are timed eagerly, and the notes say why.

    Args:
        mock, reference: what to time.
        tolerance: of the ratio, as a fraction; a note says when the interval is wider.
        rounds: pairs of samples; None makes 40, or fewer (at least 20) of a slow operator.
        seed: of the order within the rounds and of the interval.
        progress: told (rounds done, rounds).

    Raises:
        MissingDeviceError: no CUDA device.
        InputError: fewer than 3 rounds.
    """
    import torch

    if not torch.cuda.is_available():
        raise MissingDeviceError("there is no CUDA device to time on", fix="use a machine with one")
    with ExitStack() as closing:
        mock_graph, mock_problem = _capture(mock, closing)
        reference_graph, reference_problem = _capture(reference, closing)
        if not (mock_graph and reference_graph):
            closing.close()  # its memory is of no use to eager calls; the topology is kept
        pair = _Pair(mock, reference, mock_graph, reference_graph, mock_problem, reference_problem)
        return PairRun(
            _measure(pair, tolerance, rounds, seed, progress),
            mock_graph.topology if mock_graph else None,
            reference_graph.topology if reference_graph else None,
            mock_problem,
            reference_problem,
        )


def balanced_order(rounds: int, seed: int) -> list[bool]:
    """Whether the mock goes first, per round: as often as not, in random order."""
    order = [index % 2 == 0 for index in range(rounds)]
    random.Random(seed).shuffle(order)
    return order


def rounds_within_budget(round_ms: float) -> int:
    """Rounds of that length for BUDGET_MS, between FEWEST_ROUNDS and ROUNDS."""
    return max(FEWEST_ROUNDS, min(ROUNDS, int(BUDGET_MS / max(round_ms, 1e-6))))


@dataclass(frozen=True)
class _Pair:
    mock: Side
    reference: Side
    mock_graph: CapturedGraph | None
    reference_graph: CapturedGraph | None
    mock_problem: str
    reference_problem: str

    @property
    def mode(self) -> str:
        return "graph" if self.mock_graph and self.reference_graph else "eager"

    def samplers(self) -> tuple[Sampler, Sampler]:
        """What enqueues a sample of the mock, and of the reference."""
        if self.mock_graph and self.reference_graph:
            return _replaying(self.mock_graph), _replaying(self.reference_graph)
        return _calling(self.mock), _calling(self.reference)

    def notes(self) -> list[str]:
        """What cannot be said of the graphs."""
        sides = (
            (self.mock, self.mock_graph, self.mock_problem),
            (self.reference, self.reference_graph, self.reference_problem),
        )
        notes = []
        for side, graph, problem in sides:
            if graph is None:
                notes.append(f"both timed eagerly: {side.label} cannot be captured: {problem}")
            elif graph.topology_problem:
                notes.append(f"{side.label}: {graph.topology_problem}")
        return notes


def _capture(side: Side, closing: ExitStack) -> tuple[CapturedGraph | None, str]:
    try:
        graph = capture(side)
    except CaptureError as error:
        return None, error.reason
    closing.callback(graph.close)
    return graph, ""


def _replaying(graph: CapturedGraph) -> Sampler:
    return lambda calls: sample_replays(graph.replay, calls)


def _calling(side: Side) -> Sampler:
    return lambda calls: sample_eager(side, calls)


def _measure(
    pair: _Pair, tolerance: float, rounds: int | None, seed: int, progress: Progress | None
) -> PairedMeasurement:
    samplers = pair.samplers()
    warm = [_warm_up(sampler) for sampler in samplers]
    calls = calls_per_sample(min(done.call_ms for done in warm))
    if rounds is None:
        rounds = rounds_within_budget(calls * sum(done.call_ms for done in warm))
    mock, reference = _interleave(samplers, calls, balanced_order(rounds, seed), progress)
    ratio, interval = paired_ratio(mock, reference, seed=seed)
    return PairedMeasurement(
        Measurement(pair.mock.label, tuple(mock), calls, pair.mode),
        Measurement(pair.reference.label, tuple(reference), calls, pair.mode),
        ratio,
        interval,
        METHOD,
        (*pair.notes(), *_warm_notes(pair, warm), *_width_note(interval, tolerance)),
    )


def _warm_up(sampler: Sampler) -> WarmUp:
    return warm_up(lambda calls: sampler(calls).ms())


def _interleave(
    samplers: tuple[Sampler, Sampler], calls: int, order: list[bool], progress: Progress | None
) -> tuple[list[float], list[float]]:
    """Times per call of both, in ms; a round is read once the next one is enqueued, so that the
    GPU does not wait for the host in between."""
    enqueued: list[tuple[EventSample, EventSample]] = []
    times: tuple[list[float], list[float]] = ([], [])
    for done, mock_first in enumerate(order):
        first, second = samplers if mock_first else samplers[::-1]
        one, other = first(calls), second(calls)
        enqueued.append((one, other) if mock_first else (other, one))
        if done:
            _read(enqueued.pop(0), times)
        if progress:
            progress(done, len(order))
    while enqueued:
        _read(enqueued.pop(0), times)
    if progress:
        progress(len(order), len(order))
    return times


def _read(sample: tuple[EventSample, EventSample], times: tuple[list[float], list[float]]) -> None:
    for taken, kept in zip(sample, times, strict=True):
        kept.append(taken.ms())


def _warm_notes(pair: _Pair, warm: list[WarmUp]) -> list[str]:
    sides = (pair.mock, pair.reference)
    return [f"{side.label}: {done}" for side, done in zip(sides, warm, strict=True)]


def _width_note(interval: tuple[float, float], tolerance: float) -> list[str]:
    width = interval[1] - interval[0]
    if width <= 2 * tolerance:
        return []
    return [f"the interval is {width:.2%} wide, wider than +- {tolerance:.2%}"]
