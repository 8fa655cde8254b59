"""Facts from streams, graphs and forwards: what runs beside what, and whether it is always so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.align.durations import device_times
from harness.align.explain.rules import Facts, Rulebook
from harness.align.observation import Observation, SideObservation
from harness.measure.topology import differences
from harness.names import identity_keys
from harness.trace import Trace


def stream_facts(observed: Observation) -> Facts:
    """How many streams, and what share of the busy time they save by running at once."""
    ours, theirs = (len(set(trace.activities["stream"].to_pylist())) for trace in observed.lists)
    found: dict[str, Any] = {"mock_streams": ours, "reference_streams": theirs}
    found |= {"streams_lacking": theirs - ours, "streams_added": ours - theirs}
    shares = [_parallel(trace) for trace in observed.lists]
    if shares[0] is not None and shares[1] is not None:
        found |= {"parallel_share_of_mock": shares[0], "parallel_share_of_reference": shares[1]}
        found["parallel_lacking"] = shares[1] - shares[0]
        found["parallel_added"] = shares[0] - shares[1]
    return found


def _parallel(trace: Trace) -> float | None:
    times = device_times(trace)
    return times["parallel_ns"] / times["busy_ns"] if times and times["busy_ns"] else None


def graph_facts(observed: Observation, book: Rulebook) -> Facts:
    """Whether both sides capture, what stands in the way, and how the graphs differ."""
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    facts: dict[str, Any] = {}
    if mock.captured is not None and reference.captured is not None:
        facts["captured_on_one_side"] = int(mock.captured != reference.captured)
        failing = reference if mock.captured else mock
        if mock.captured != reference.captured:
            facts["side_without_graph"] = failing.label
            facts["graph_problem"] = failing.graph_problem[:160]
            waits = bool(book.words["synchronisation"].search(failing.graph_problem))
            facts["capture_met_a_wait"] = int(waits)
    one, other = mock.recorded_topology, reference.recorded_topology
    if one is not None and other is not None:
        facts["branches_lacking"] = other.branches - one.branches
        facts["branches_added"] = one.branches - other.branches
        same = [kind for kind, _ in one.nodes] == [kind for kind, _ in other.nodes]
        facts["other_edges"] = len(set(one.edges) ^ set(other.edges)) if same else 0
    facts |= _captured_otherwise((mock, reference))
    return facts


def _captured_otherwise(sides: Sequence[SideObservation]) -> dict[str, Any]:
    """Launches that only a replay or only an eager forward makes; graphs unlike the timed one."""
    found: dict[str, Any] = {"launches_unlike_in_replay": 0, "graphs_unlike_when_timed": 0}
    for side in sides:
        if side.eager_forwards and side.replay_forwards:
            eager, replay = (
                Counter(identity_keys(forwards[-1]))
                for forwards in (side.eager_forwards, side.replay_forwards)
            )
            number = (eager - replay).total() + (replay - eager).total()
            if number:
                found["launches_unlike_in_replay"] += number
                found.setdefault("side_unlike_in_replay", side.label)
        if side.timed_topology and side.recorded_topology:
            unlike = bool(differences(side.timed_topology, side.recorded_topology))
            found["graphs_unlike_when_timed"] += unlike
    return found


def forward_facts(observed: Observation) -> Facts:
    """Whether forwards of one side differ, and whether only the first is unlike the others."""
    later = first = 0
    for side in observed.sides:
        for forwards in (side.eager_forwards, side.replay_forwards):
            lists = [Counter(identity_keys(forward)) for forward in forwards]
            unlike = sum(each != lists[0] for each in lists[1:])
            alone = len(lists) > 2 and unlike == len(lists) - 1
            if alone and all(each == lists[1] for each in lists[2:]):
                first += 1
            else:
                later += unlike
    return {"unlike_first_forwards": first, "unlike_later_forwards": later}
