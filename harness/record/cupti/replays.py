"""Whether each replay of a CUDA graph gave every node of it exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.cupti.nodes import LOW, NodeRegions

Array = npt.NDArray[Any]

MOST_REASONS = 5


@dataclass(frozen=True)
class Replays:
    """What the replays of a recording gave.

    Attributes:
        count: launches of graphs that left activities.
        graphs: ids of the executable graphs.
        problems: replays that lack nodes or have some twice.
        notes: nodes whose region at capture is not known.
    """

    count: int = 0
    graphs: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_replays(graph: Array, node: Array, correlation: Array, nodes: NodeRegions) -> Replays:
    """Compare each replay with the graph's nodes, or with its first replay where they are unknown.

    Args:
        graph: executable graph of each activity, shape (n,); 0 for none.
        node: id of the node.
        correlation: of the graph launch; 0 for bodies of conditional nodes, which may run any
            number of times and are not checked.
        nodes: what CUPTI announced.
    """
    rows: Any = np.flatnonzero((graph != 0) & (correlation != 0))
    if len(rows) == 0:
        return Replays()
    if len(rows) == len(graph):
        rows = slice(None)
    launches = _launches(graph[rows], node[rows], correlation[rows])
    problems: list[str] = []
    notes: list[str] = []
    graphs = np.unique(launches.graph).tolist()
    for graph_id in graphs:
        seen = _first_replay(graph_id, launches, graph, node, correlation)
        expected = nodes.on_device(graph_id)
        problems += _problems(graph_id, launches, seen, expected)
        notes += _notes(graph_id, seen, nodes)
    hidden = len(problems) - MOST_REASONS
    shown = problems if hidden <= 0 else [*problems[:MOST_REASONS], f"and {hidden} more replays"]
    return Replays(len(launches.graph), tuple(graphs), tuple(shown), tuple(notes))


@dataclass(frozen=True)
class _Launches:
    """By launch: correlation id, graph, number of activities, sum of hashes of their nodes."""

    correlation: Array
    graph: Array
    count: Array
    digest: Array


def _launches(graph: Array, node: Array, correlation: Array) -> _Launches:
    """Sums over runs of rows of one launch, then over the runs: nothing is sorted but the runs."""
    changes = np.flatnonzero(correlation[1:] != correlation[:-1]) + 1
    starts = np.concatenate([np.zeros(1, np.int64), changes])
    digests = np.add.reduceat(_mixed(node), starts)
    counts = np.diff(np.append(starts, len(correlation)))
    ids, first, which = np.unique(correlation[starts], return_index=True, return_inverse=True)
    digest, count = np.zeros(len(ids), np.uint64), np.zeros(len(ids), np.int64)
    np.add.at(digest, which, digests)
    np.add.at(count, which, counts)
    return _Launches(ids, graph[starts[first]], count, digest)


def _mixed(numbers: Array) -> npt.NDArray[np.uint64]:
    """64-bit hashes whose sum tells multisets of node ids apart.

    The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
    Generators, 2014).
    """
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def _first_replay(
    graph_id: int, launches: _Launches, graph: Array, node: Array, correlation: Array
) -> Array:
    """Node numbers of the first replay of a graph."""
    first = launches.correlation[np.flatnonzero(launches.graph == graph_id)[0]]
    numbers: Array = node[(correlation == first) & (graph == graph_id)] & LOW
    return numbers.astype(np.int64)


def _problems(graph_id: int, launches: _Launches, seen: Array, expected: Array | None) -> list[str]:
    distinct = np.unique(seen)
    wanted = distinct if expected is None else expected
    ids = wanted.astype(np.uint64) | np.uint64(graph_id << 32)
    digest = np.add.reduce(_mixed(ids))
    mine = np.flatnonzero(launches.graph == graph_id)
    wrong = mine[(launches.count[mine] != len(wanted)) | (launches.digest[mine] != digest)]
    what = "its first replay" if expected is None else "its nodes"
    return [
        f"a replay of graph {graph_id} (correlation id {launches.correlation[at]}) gave "
        f"{launches.count[at]} activities, which are not {what} ({len(wanted)}) once each; records "
        "are missing, or nodes were disabled"
        for at in wrong.tolist()
    ]


def _notes(graph_id: int, seen: Array, nodes: NodeRegions) -> list[str]:
    announced = nodes.nodes_of(graph_id)
    if announced is None:
        return [
            f"graph {graph_id} was captured before the recording: its {len(seen)} activities "
            "per replay carry the region of the replay, not of their capture"
        ]
    unknown = int((~np.isin(seen, np.fromiter(announced, np.int64, len(announced)))).sum())
    if not unknown:
        return []
    return [
        f"graph {graph_id}: {unknown} of {len(seen)} activities per replay are of nodes that "
        "CUPTI does not announce (child graphs): they carry the region of the replay"
    ]
