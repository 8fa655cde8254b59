"""Second half of a run: record what each side launches, eagerly and as a graph."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from harness.align.forwards import FORWARD
from harness.align.observation import SideObservation
from harness.compare.options import Options
from harness.compare.timing import Timed
from harness.errors import HarnessError
from harness.measure.graph import CapturedGraph, capture
from harness.measure.model import GraphTopology
from harness.record.modules import module_region
from harness.record.regions import region
from harness.trace import Trace
from ops.sides import Side

OPERATOR = "operator"
"""Region of the submodule inside the running layer."""

WARMUP_CALLS = 2
"""Eager calls before recording, so that lazy initialisation is not recorded as the operator."""


FORWARDS_WITHOUT_GPU = 2
"""Enough to see that a second forward launches what the first does; there are no times."""


def record_eager(side: Side, options: Options, *, inside: bool = False) -> Trace:
    """Record some eager forwards, each in a region ``forward``.

    Args:
        side: what to call.
        options: recorder and number of forwards.
        inside: the call runs more than the operator; put ``side.module`` into a region.
    """
    assert side.module is not None or not inside
    for _ in range(WARMUP_CALLS if options.device == "cuda" else 0):
        side.reset()
        with side.context():
            side.call()
    hooks: AbstractContextManager[None] = (
        module_region(side.module, OPERATOR) if inside and side.module else nullcontext()
    )
    with hooks, options.recorder.record() as recording:
        for _ in range(options.forwards if options.device == "cuda" else FORWARDS_WITHOUT_GPU):
            side.reset()
            with side.context(), region(FORWARD):
                side.call()
    side.reset()
    return recording.trace


def record_replays(graph: CapturedGraph, options: Options) -> Trace:
    """Record some replays, each in a region ``forward``."""
    with options.recorder.record() as recording:
        for _ in range(options.replays):
            with region(FORWARD):
                graph.replay()
    return recording.trace


def observe_side(side: Side, options: Options, timed: Timed) -> SideObservation:
    """Record one side eagerly and, where it was timed as a graph, as a graph captured again."""
    with options.stage(f"recording {side.label}"):
        eager = record_eager(side, options)
        graph = _graph(side, options, timed) if timed.pair is not None else _Graph(None)
    seen = timed.flows.get(side.label)
    return SideObservation(
        side.label,
        side.describe,
        eager=eager,
        replay=graph.replay,
        flows=None if seen is None else seen.flows,
        flows_missing="" if seen is not None else f"the {side.label} is not an nn.Module",
        timed_topology=graph.timed_topology,
        recorded_topology=graph.topology,
        captured=graph.captured,
        graph_problem=graph.problem,
        calls=() if seen is None else seen.calls,
        weights=() if seen is None else seen.weights,
    )


def observe_layer(side: Side, options: Options) -> SideObservation:
    """Record the reference inside its running layer, eagerly."""
    with options.stage("recording in layer"):
        eager = record_eager(side, options, inside=True)
    return SideObservation(side.label, side.describe, eager=eager, region=OPERATOR)


@dataclass(frozen=True)
class _Graph:
    captured: bool | None
    timed_topology: GraphTopology | None = None
    topology: GraphTopology | None = None
    replay: Trace | None = None
    problem: str = ""


def _graph(side: Side, options: Options, timed: Timed) -> _Graph:
    """Capture the side again as it was timed, and record its replays."""
    pair = timed.pair
    assert pair is not None
    mock = side.label == "mock"
    problem = pair.mock_graph_problem if mock else pair.reference_graph_problem
    topology = pair.mock_topology if mock else pair.reference_topology
    if problem and topology is None:
        return _Graph(False, problem=problem)
    try:
        with options.recorder.watch_captures():
            graph = capture(side)
    except HarnessError as error:
        return _Graph(False, topology, problem=f"captured when timed, not when recorded: {error}")
    try:
        if options.recorder.name == "dispatch":
            text = "the dispatcher does not see what a replay launches"
            return _Graph(True, topology, graph.topology, problem=text)
        replay = record_replays(graph, options)
        return _Graph(True, topology, graph.topology, replay, graph.topology_problem)
    finally:
        graph.close()
