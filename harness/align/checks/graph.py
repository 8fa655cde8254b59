"""Do both sides behave the same under CUDA graphs?"""

from __future__ import annotations

from collections import Counter

from harness.align.checks.common import counted, failed, passed, skipped
from harness.align.checks.graph_of_files import graph_of_files
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation, SideObservation
from harness.align.streams import pair_streams
from harness.measure.model import GraphTopology
from harness.measure.topology import differences
from harness.names import display_name, identity_keys
from harness.trace import Trace


def graph(observed: Observation) -> CheckResult:
    """Both capture or both do not; same nodes and edges; replay launches what eager launches.

    What two files say of it: `harness.align.checks.graph_of_files`.
    """
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    if not observed.live:
        return graph_of_files(observed)
    if mock.captured is None or reference.captured is None:
        return skipped("graph", observed.untimed or "capture was not tried")
    if not (mock.captured and reference.captured):
        return _not_both(mock, reference)
    problems = [*_compared(mock, reference), *_side(mock), *_side(reference)]
    if problems:
        return failed("graph", "the graphs differ", problems)
    return _agreed(mock, reference)


def _not_both(mock: SideObservation, reference: SideObservation) -> CheckResult:
    without = [side for side in (mock, reference) if not side.captured]
    problems = [f"the {side.label} cannot be captured: {side.graph_problem}" for side in without]
    if any(side.timed_topology for side in without):
        return failed("graph", "a graph was timed that cannot be captured again", problems)
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
    kinds, others = Counter(kind for kind, _ in one.nodes), Counter(kind for kind, _ in other.nodes)
    problems += [
        f"{kinds[kind]} {kind} nodes in the mock, {others[kind]} in the reference"
        for kind in sorted(kinds | others)
        if kinds[kind] != others[kind]
    ]
    if one.branches != other.branches:
        problems.append(f"{one.branches} branches in the mock, {other.branches} in the reference")
    if not problems and one.edges != other.edges:
        problems.append("the nodes depend on each other in other ways")
        problems += [
            f"{_node(topology, late)} waits for {_node(topology, early)} in the {side} only"
            for side, topology, against in (("mock", one, other), ("reference", other, one))
            for early, late in sorted(set(topology.edges) - set(against.edges))
        ]
    return problems


def _node(topology: GraphTopology, position: int) -> str:
    kind, name = topology.nodes[position]
    return f"node {position} ({display_name(name, width=60) if name else kind})"


def _side(side: SideObservation) -> list[str]:
    problems = []
    if side.timed_topology and side.recorded_topology:
        problems += [
            f"{side.label}: the recorded graph is not the timed one: {line}"
            for line in differences(side.timed_topology, side.recorded_topology)
        ]
    if side.eager_forwards and side.replay_forwards:
        lines = _eager_against_replay(side.eager_forwards[-1], side.replay_forwards[-1])
        problems += [f"{side.label}: {line}" for line in lines]
    return problems


def _eager_against_replay(eager: Trace, replay: Trace) -> list[str]:
    ours, theirs = identity_keys(replay), identity_keys(eager)
    more, fewer = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
    lines = [f"only eager launches {line}" for line in counted(fewer)]
    lines += [f"only the replay launches {line}" for line in counted(more)]
    pairs = pair_streams(replay, ours, eager, theirs)
    if not lines and len(pairs) == 1:  # branches of a graph may run on other streams than eagerly
        lines = [
            f"the replay has {display_name(new[0])} where eager has another order"
            for _, _, new in pairs[0].edits()
            if new
        ]
    return lines


def _copies(topology: GraphTopology) -> str:
    """How many of the nodes are no kernels."""
    kinds = Counter(kind for kind, _ in topology.nodes if kind != "kernel")
    return f" ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})" if kinds else ""


def _agreed(mock: SideObservation, reference: SideObservation) -> CheckResult:
    topology = mock.recorded_topology if reference.recorded_topology else None
    replayed = mock.replay is not None and reference.replay is not None
    parts = ["both capture"]
    if topology is not None:
        branches = "1 branch" if topology.branches == 1 else f"{topology.branches} branches"
        timed = ", as timed" if mock.timed_topology and reference.timed_topology else ""
        parts.append(f"{len(topology.nodes)} nodes{_copies(topology)} and {branches} each{timed}")
    if replayed:
        parts.append("replays launch what eager launches")
    parts += dict.fromkeys(side.graph_problem for side in (mock, reference) if side.graph_problem)
    known = topology is not None or replayed
    status = Status.PASS if known else Status.INCONCLUSIVE
    return CheckResult("graph", status, "; ".join(parts))
