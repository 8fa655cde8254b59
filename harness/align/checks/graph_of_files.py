"""What two recordings that were read from files say of CUDA graphs."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from harness.align.checks.common import failed, passed, skipped
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.trace import Trace

NAME = "graph"


def graph_of_files(observed: Observation) -> CheckResult:
    """Both lists are of graph replays, with the same number of nodes of each kind.

    A list that was launched eagerly does not say whether its side can be captured. So two eager
    lists leave nothing to judge (skipped), and an eager list against replays leaves open whether
    both capture or both do not (inconclusive, never passed): that the kernels agree is for other
    checks to say. How nodes depend on each other is not in a Trace.
    """
    lists = dict(zip(("mock", "reference"), observed.lists, strict=True))
    if all(set(_kinds(trace)) <= {"op"} for trace in lists.values()):
        return skipped(NAME, "ATen calls are in no graph")
    nodes = {side: _nodes(trace) for side, trace in lists.items()}
    inside = {side: found.total() for side, found in nodes.items()}
    if not any(inside.values()):
        return skipped(NAME, "both lists are eager: whether the sides can be captured takes a run")
    eager = [side for side in lists if not inside[side]]
    if eager:
        (other,) = (side for side in lists if side not in eager)
        text = (
            f"the {other}'s list is of graph replays, the {eager[0]}'s eager: whether both sides "
            "capture is not known; record both in one way"
        )
        return CheckResult(NAME, Status.INCONCLUSIVE, text)
    problems = _problems(nodes["mock"], nodes["reference"])
    problems += _eager_rest(lists, inside)
    if problems:
        return failed(NAME, "the graphs differ", problems)
    kinds = ", ".join(f"{count} {kind}" for kind, count in nodes["mock"].items())
    text = f"both lists are of graph replays; {kinds} nodes each; dependencies are not in files"
    return passed(NAME, text)


def in_graphs(trace: Trace) -> bool:
    """Whether most activities were launched by graphs."""
    column = trace.activities["graph"]
    return bool(len(column) > 2 * column.null_count)


def _kinds(trace: Trace) -> list[str]:
    kinds: list[str] = trace.activities["kind"].cast(pa.string()).to_pylist()
    return kinds


def _nodes(trace: Trace) -> Counter[str]:
    """How many nodes of each kind the graphs of one forward launched."""
    inside = trace.activities.filter(pc.is_valid(trace.activities["graph"]))
    return Counter(inside["kind"].cast(pa.string()).to_pylist())


def _problems(mock: Counter[str], reference: Counter[str]) -> list[str]:
    return [
        f"{mock[kind]} {kind} nodes in the mock, {reference[kind]} in the reference"
        for kind in sorted(mock | reference)
        if mock[kind] != reference[kind]
    ]


def _eager_rest(lists: dict[str, Trace], inside: dict[str, int]) -> list[str]:
    """A side of which a part is launched eagerly, where the other's is not."""
    rest = {side: len(trace) - inside[side] for side, trace in lists.items()}
    if rest["mock"] == rest["reference"]:
        return []
    return [
        f"{rest['mock']} launches of the mock and {rest['reference']} of the reference are eager"
    ]
