"""Do both sides behave the same under CUDA graphs?"""

from __future__ import annotations

from harness.align.checks.common import failed, passed, skipped
from harness.align.checks.order import matching
from harness.align.model import CheckResult
from harness.align.observation import Observation, SideObservation
from harness.measure.topology import differences
from harness.names import display_name, identity_keys


def graph(observed: Observation) -> CheckResult:
    """Both capture or both do not; same nodes and branches; replay launches what eager launches."""
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    if mock.captured is None or reference.captured is None:
        return skipped("graph", observed.untimed or "capture was not tried")
    if not (mock.captured and reference.captured):
        return _not_both(mock, reference)
    problems = [*_compared(mock, reference), *_side(mock), *_side(reference)]
    if problems:
        return failed("graph", "the graphs differ", problems)
    return passed("graph", _summary(mock))


def _not_both(mock: SideObservation, reference: SideObservation) -> CheckResult:
    problems = [
        f"the {side.label} cannot be captured: {side.graph_problem}"
        for side in (mock, reference)
        if not side.captured
    ]
    if len(problems) == 2:
        return passed("graph", "neither side can be captured; " + "; ".join(problems))
    return failed("graph", "only one side can be captured", problems)


def _compared(mock: SideObservation, reference: SideObservation) -> list[str]:
    one, other = mock.recorded_topology, reference.recorded_topology
    if one is None or other is None:
        return []
    problems = []
    if len(one.nodes) != len(other.nodes):
        problems.append(f"{len(one.nodes)} nodes in the mock, {len(other.nodes)} in the reference")
    if one.branches != other.branches:
        problems.append(f"{one.branches} branches in the mock, {other.branches} in the reference")
    return problems


def _side(side: SideObservation) -> list[str]:
    problems = []
    if side.timed_topology and side.recorded_topology:
        problems += [
            f"{side.label}: the recorded graph is not the timed one: {line}"
            for line in differences(side.timed_topology, side.recorded_topology)
        ]
    if side.eager_forwards and side.replay_forwards:
        eager = identity_keys(side.eager_forwards[-1])
        replay = identity_keys(side.replay_forwards[-1])
        problems += [f"{side.label}: {line}" for line in _eager_against_replay(eager, replay)]
    return problems


def _eager_against_replay(eager: list[str], replay: list[str]) -> list[str]:
    lines = []
    for tag, i, j, k, m in matching(replay, eager).get_opcodes():
        for key in eager[i:j] if tag != "equal" else ():
            lines.append(f"only eager launches {display_name(key)}")
        for key in replay[k:m] if tag != "equal" else ():
            lines.append(f"only the replay launches {display_name(key)}")
    return lines


def _summary(side: SideObservation) -> str:
    topology = side.recorded_topology
    parts = ["both capture"]
    if topology is not None:
        branches = "1 branch" if topology.branches == 1 else f"{topology.branches} branches"
        timed = ", as timed" if side.timed_topology else ""
        parts.append(f"{len(topology.nodes)} nodes and {branches} each{timed}")
    if side.replay is not None:
        parts.append("replays launch what eager launches")
    if side.graph_problem:
        parts.append(side.graph_problem)
    return "; ".join(parts)
