"""The shape of a captured CUDA graph; the only file that imports ``cuda.bindings``."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

from harness.measure.model import GraphTopology

MOST_DIFFERENCES = 12
"""Lines that ``differences`` shows: past that the graphs have nothing in common worth reading."""

Node = tuple[str, str]


class _DriverError(Exception):
    """A driver call returned an error."""


def read_topology(raw_graph: int) -> tuple[GraphTopology | None, str]:
    """Nodes and edges of a graph, or None and why they cannot be read.

    Args:
        raw_graph: address of the ``cudaGraph_t``, from ``CUDAGraph.raw_cuda_graph()``.
    """
    try:
        from cuda.bindings import driver
    except ImportError:
        return None, "graph nodes are not read: pip install cuda-bindings"
    try:
        return _read(driver, driver.CUgraph(raw_graph)), ""
    except _DriverError as error:
        return None, f"graph nodes are not read: {error}"


def ordered(nodes: Sequence[Node], edges: Iterable[tuple[int, int]]) -> GraphTopology:
    """Sort nodes so that each follows what it depends on, otherwise as they were given."""
    links = sorted(set(edges))
    waiting = [0] * len(nodes)
    after: list[list[int]] = [[] for _ in nodes]
    for source, target in links:
        waiting[target] += 1
        after[source].append(target)
    ready = [position for position, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while ready:
        position = heapq.heappop(ready)
        order.append(position)
        for target in after[position]:
            waiting[target] -= 1
            if waiting[target] == 0:
                heapq.heappush(ready, target)
    rank = {position: new for new, position in enumerate(order)}
    return GraphTopology(
        nodes=tuple(nodes[position] for position in order),
        edges=tuple(sorted((rank[source], rank[target]) for source, target in links)),
    )


def differences(one: GraphTopology, other: GraphTopology) -> list[str]:
    """What differs, one line each, nodes before edges; empty when both are the same."""
    lines = _node_differences(one.nodes, other.nodes)
    if not lines:  # positions mean the same in both only when the nodes do
        lines = [
            *(f"edge {a} -> {b} only in the first" for a, b in _missing(one, other)),
            *(f"edge {a} -> {b} only in the second" for a, b in _missing(other, one)),
        ]
    hidden = len(lines) - MOST_DIFFERENCES
    return lines if hidden <= 0 else [*lines[:MOST_DIFFERENCES], f"and {hidden} more"]


def _node_differences(one: Sequence[Node], other: Sequence[Node]) -> list[str]:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    lines = []
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag != "equal":
            lines += [f"node {at} only in the first: {_text(one[at])}" for at in range(i, j)]
            lines += [f"node {at} only in the second: {_text(other[at])}" for at in range(k, m)]
    return lines


def _missing(one: GraphTopology, other: GraphTopology) -> list[tuple[int, int]]:
    return sorted(set(one.edges) - set(other.edges))


def _text(node: Node) -> str:
    return " ".join(part for part in node if part)


def _read(driver: Any, graph: Any) -> GraphTopology:
    (count,) = _checked(driver, driver.cuGraphGetNodes(graph))[-1:]
    nodes = _checked(driver, driver.cuGraphGetNodes(graph, count))[0] if count else []
    position = {int(node): at for at, node in enumerate(nodes)}
    named = [_node(driver, node) for node in nodes]
    edges = [(position[int(a)], position[int(b)]) for a, b in _edges(driver, graph)]
    return ordered(named, edges)


def _edges(driver: Any, graph: Any) -> list[tuple[Any, Any]]:
    # 12.x has a second version, which alone can return programmatic edges; in 13.x that is the
    # one of the plain name. The lists come first and the count last in all of them.
    get = getattr(driver, "cuGraphGetEdges_v2", driver.cuGraphGetEdges)
    (count,) = _checked(driver, get(graph))[-1:]
    if not count:
        return []
    sources, targets = _checked(driver, get(graph, count))[:2]
    return list(zip(sources, targets, strict=True))


def _node(driver: Any, node: Any) -> Node:
    (found,) = _checked(driver, driver.cuGraphNodeGetType(node))
    kind = driver.CUgraphNodeType(found).name.removeprefix("CU_GRAPH_NODE_TYPE_").lower()
    return ("kernel", _kernel_name(driver, node)) if kind == "kernel" else (kind, "")


def _kernel_name(driver: Any, node: Any) -> str:
    (parameters,) = _checked(driver, driver.cuGraphKernelNodeGetParams(node))
    if int(parameters.func):
        (name,) = _checked(driver, driver.cuFuncGetName(parameters.func))
    else:  # launched through a context-independent handle
        (name,) = _checked(driver, driver.cuKernelGetName(parameters.kern))
    return str(name.decode())


def _checked(driver: Any, returned: tuple[Any, ...]) -> tuple[Any, ...]:
    status, *values = returned
    if status != driver.CUresult.CUDA_SUCCESS:
        raise _DriverError(driver.CUresult(status).name)
    return tuple(values)
