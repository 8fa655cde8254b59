"""The first instance of each side: captured, with so many calls that the launch does not matter."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

from harness.measure.events import (
    EventSample,
    calls_per_sample,
    sample_eager,
    sample_replays,
    time_replays,
)
from harness.measure.graph import CapturedGraph, CaptureError, capture
from harness.measure.instance import Instance
from harness.measure.model import GraphTopology
from harness.measure.warmup import warm_up
from ops.sides import Side

SAMPLE_MS = 1.0
"""A graph lasts at least this long: its launch takes 3 to 10 us beyond its kernels."""

MOST_GAP = 0.02
"""Largest share of a sample that may be launch and not operator."""

MOST_UNROLLED = 512
MANY_CALLS = 8
ATTEMPTS = 3
PROBES = 15


@dataclass
class Unrolled:
    """Both sides as they are sampled.

    Attributes:
        mock, reference: the sides.
        mock_graph, reference_graph: ``calls`` calls each; both None when timed eagerly.
        mock_lead, reference_lead: one call each, where ``calls`` are many.
        calls: in one sample.
        sample_ms: how long a sample lasts, of the faster side; 0 where not measured.
        gap_share: the larger share of launch in a sample; None where not known (one call).
        topologies: of one call of the mock, and of the reference; None where not read.
        problems: why a side cannot be captured; empty where it can.
        notes: what a reader of the result must know.
    """

    mock: Side
    reference: Side
    mock_graph: CapturedGraph | None = None
    reference_graph: CapturedGraph | None = None
    mock_lead: CapturedGraph | None = None
    reference_lead: CapturedGraph | None = None
    calls: int = 1
    sample_ms: float = 0.0
    gap_share: float | None = None
    topologies: tuple[GraphTopology | None, GraphTopology | None] = (None, None)
    problems: tuple[str, str] = ("", "")
    notes: list[str] = field(default_factory=list)

    @property
    def mode(self) -> str:
        """``graph`` or ``eager``."""
        return "graph" if self.mock_graph and self.reference_graph else "eager"

    @property
    def mock_instance(self) -> Instance:
        """The mock, ready to be sampled."""
        return Instance(self.mock.label, self.mock, self.mock_graph, self.calls, self.mock_lead)

    @property
    def reference_instance(self) -> Instance:
        """The reference, ready to be sampled."""
        return Instance(
            self.reference.label,
            self.reference,
            self.reference_graph,
            self.calls,
            self.reference_lead,
        )

    def close(self) -> None:
        """Free the graphs. May be repeated."""
        for graph in (
            self.mock_graph,
            self.reference_graph,
            self.mock_lead,
            self.reference_lead,
        ):
            if graph:
                graph.close()


def capture_unrolled(
    mock: Side, reference: Side, closing: ExitStack, *, single: bool, eager: bool = False
) -> Unrolled:
    """Capture both sides and choose how many calls a sample holds; eager when one cannot be.

    Args:
        mock, reference: what to time.
        closing: frees the graphs.
        single: one call per sample (cold cache).
        eager: do not capture.
    """
    made = Unrolled(mock, reference)
    closing.callback(made.close)
    if not eager:
        _capture_single(made)
    if made.mode == "eager":
        if not single:
            _choose_eager_calls(made)
        return made
    if single:
        made.notes.append("a sample is one call with the launch of its graph")
    else:
        _unroll(made)
        made.mock_lead = capture_lead(mock, made.calls)
        made.reference_lead = capture_lead(reference, made.calls)
    return made


def capture_lead(side: Side, calls: int) -> CapturedGraph | None:
    """One call to lead in with, where a sample has so many that replaying it twice is a waste.

    Raises:
        CaptureError: as `harness.measure.graph.capture`.
    """
    return capture(side, topology=False) if calls >= MANY_CALLS else None


def _capture_single(made: Unrolled) -> None:
    """One call of each side as a graph; both graphs are closed again when one cannot be."""
    made.mock_graph, mock_problem = _captured(made.mock)
    made.reference_graph, reference_problem = _captured(made.reference)
    graphs = (made.mock_graph, made.reference_graph)
    made.problems = (mock_problem, reference_problem)
    made.topologies = (
        made.mock_graph.topology if made.mock_graph else None,
        made.reference_graph.topology if made.reference_graph else None,
    )
    for side, graph, problem in zip(
        (made.mock, made.reference), graphs, made.problems, strict=True
    ):
        if graph is None:
            made.notes.append(f"both timed eagerly: {side.label} cannot be captured: {problem}")
        elif graph.topology_problem:
            made.notes.append(f"{side.label}: {graph.topology_problem}")
    if not all(graphs):
        made.close()  # the memory of a graph is of no use to eager calls
        made.mock_graph = made.reference_graph = None


def _captured(side: Side) -> tuple[CapturedGraph | None, str]:
    try:
        return capture(side), ""
    except CaptureError as error:
        return None, error.reason


def _choose_eager_calls(made: Unrolled) -> None:
    def taking(side: Side) -> Callable[[int], EventSample]:
        return lambda calls: sample_eager(side, calls)

    fastest = min(_call_ms(taking(side)) for side in (made.mock, made.reference))
    made.calls = calls_per_sample(fastest)
    made.sample_ms = made.calls * fastest


def _call_ms(sample: Callable[[int], EventSample]) -> float:
    return warm_up(lambda calls: sample(calls).ms()).call_ms


def calls_to_unroll(call_ms: float) -> int:
    """Calls of ``call_ms`` milliseconds that make a graph long enough, 1 to MOST_UNROLLED."""
    return max(1, min(MOST_UNROLLED, math.ceil(SAMPLE_MS / max(call_ms, 1e-6))))


def gap_share(single_ms: float, unrolled_ms: float, calls: int) -> float:
    """Share of launch in a graph of several calls, from its time and that of a single call.

    A graph of n calls of length c lasts g + n c; so g follows from two graphs.
    """
    call = (unrolled_ms - single_ms) / (calls - 1)
    return max(single_ms - call, 0.0) / unrolled_ms


def _unroll(made: Unrolled) -> None:
    """Replace the single calls by as many as are needed; keeps them where one is long enough."""
    singles = [_single_ms(made.mock_graph), _single_ms(made.reference_graph)]
    made.sample_ms = min(singles)
    calls = calls_to_unroll(made.sample_ms)
    for _ in range(ATTEMPTS):
        if calls == 1 or not _recapture(made, calls):
            return
        whole = [_replay_ms(made.mock_graph), _replay_ms(made.reference_graph)]
        made.sample_ms = min(whole)
        made.gap_share = max(map(gap_share, singles, whole, (calls, calls)))
        if made.gap_share <= MOST_GAP or calls == MOST_UNROLLED:
            break
        calls = min(MOST_UNROLLED, math.ceil(1.2 * calls * made.gap_share / MOST_GAP))
    if made.gap_share and made.gap_share > MOST_GAP:
        made.notes.append(
            f"launching takes {made.gap_share:.1%} of a sample, more than {MOST_GAP:.0%}"
        )


def _recapture(made: Unrolled, calls: int) -> bool:
    """Capture ``calls`` calls in place of what is captured; back to one call when that fails."""
    made.close()
    try:
        made.mock_graph = capture(made.mock, calls=calls, topology=False)
        made.reference_graph = capture(made.reference, calls=calls, topology=False)
    except CaptureError as error:
        made.close()
        made.notes.append(f"one call per sample: {calls} calls cannot be captured: {error.reason}")
        made.mock_graph, made.reference_graph = capture(made.mock), capture(made.reference)
        made.calls, made.gap_share = 1, None
        made.sample_ms = min(_replay_ms(made.mock_graph), _replay_ms(made.reference_graph))
        return False
    made.calls = calls
    return True


def _single_ms(graph: CapturedGraph | None) -> float:
    """Time of one call with its launch; warms up, so that clocks have risen."""
    assert graph is not None
    warm = _call_ms(lambda calls: sample_replays(graph.replay, calls))
    return warm if warm >= SAMPLE_MS else _replay_ms(graph)


def _replay_ms(graph: CapturedGraph | None) -> float:
    assert graph is not None
    return median(time_replays(graph.replay, PROBES))
