"""Nodes of CUDA graphs: which region each was captured in, and which put work on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.regions import OpenRegion
from harness.trace.schema import OUTSIDE

Array = npt.NDArray[Any]
RegionAt = Callable[[Array, Array], Sequence[tuple[OpenRegion, ...]]]

# CUgraphNodeType of cuda.h
KERNEL, MEMCPY, MEMSET, CHILD_GRAPH, CONDITIONAL = 0, 1, 2, 4, 13
_ON_DEVICE = (KERNEL, MEMCPY, MEMSET)
_HOLDS_NODES = (CHILD_GRAPH, CONDITIONAL)

LOW = 0xFFFFFFFF
"""A node id is ``graph id << 32 | number``."""


MOST_GRAPHS = 4096
"""Graphs that are remembered: one that is destroyed while nothing is recorded is not announced."""


@dataclass(frozen=True)
class Node:
    """How a node came to be.

    Attributes:
        kind: CUgraphNodeType; None where the driver did not tell.
        regions: open regions of the capturing thread, outermost first.
        thread: system id of that thread.
        time_ns: when, on the clock of the records.
        copied: whether it is in an executable graph, as the copy of a captured node.
    """

    kind: int | None
    regions: tuple[OpenRegion, ...]
    thread: int
    time_ns: int
    copied: bool = False

    @property
    def region(self) -> int:
        """Id of the innermost region; OUTSIDE for none."""
        return self.regions[-1].id if self.regions else OUTSIDE


class NodeRegions:
    """What CUPTI announced about nodes. Filled on whatever thread captures, read after recording.

    Only single operations of dict are used on shared state, which the interpreter makes atomic.
    """

    def __init__(self) -> None:
        self._graphs: dict[int, dict[int, Node]] = {}
        self._ended: list[int] = []

    def created(self, node_id: int, node: Node) -> None:
        """A node was added to a graph, by capture or by an API call."""
        if node_id >> 32 not in self._graphs and len(self._graphs) >= MOST_GRAPHS:
            self._graphs.pop(next(iter(self._graphs)), None)  # the oldest
        self._graphs.setdefault(node_id >> 32, {})[node_id & LOW] = node

    def cloned(self, node_id: int, original_id: int) -> None:
        """A node is the copy of another, as instantiation makes them: it keeps its region.

        CUPTI announces such a node as created too, at the time of the copy; that is undone here,
        also where nothing is known of the original.
        """
        mine = self._graphs.setdefault(node_id >> 32, {})
        original = self._graphs.get(original_id >> 32, {}).get(original_id & LOW)
        if original is None:
            mine.pop(node_id & LOW, None)
        else:
            mine[node_id & LOW] = replace(original, copied=True)

    def ended(self, graph_id: int) -> None:
        """A graph is destroyed; `forget_ended` forgets it, when its records have been read."""
        self._ended.append(graph_id)

    def forget_ended(self) -> None:
        """Free what is kept of destroyed graphs."""
        while self._ended:
            self._graphs.pop(self._ended.pop(), None)

    def nodes_of(self, graph_id: int) -> dict[int, Node] | None:
        """The announced nodes of a graph by number; None for a graph never heard of."""
        return self._graphs.get(graph_id) or None

    def on_device(self, graph_id: int) -> Array | None:
        """Numbers of an executable graph's nodes that put work on the device, shape (n,), sorted.

        Nodes that are no copy of a captured one are the driver's own and leave no activities.

        None where they are not all known: the graph was made before, contains child graphs or
        conditional nodes (whose nodes CUPTI does not announce), or the driver did not tell.
        """
        nodes = self.nodes_of(graph_id)
        if nodes is None or any(n.kind is None or n.kind in _HOLDS_NODES for n in nodes.values()):
            return None
        found = [
            number for number, node in nodes.items() if node.copied and node.kind in _ON_DEVICE
        ]
        return np.array(sorted(found), np.int64)

    def regions_of(self, graph: Array, node: Array, launched: Array) -> Array:
        """Region of each activity: of its node's capture, else of its launch.

        Args:
            graph: id of the executable graph, 0 for what no graph launched.
            node: id of the node.
            launched: region of the launching call.

        Returns:
            ``launched`` itself where no node is known to have been captured in a region.
        """
        rows = np.flatnonzero(graph)
        known = {
            graph_id << 32 | number: one.region
            for graph_id in np.unique(graph[rows]).tolist()
            for number, one in list((self.nodes_of(graph_id) or {}).items())
            if one.regions
        }
        if not known:
            return launched
        ids = np.array(sorted(known), np.uint64)
        regions = np.array([known[one] for one in ids.tolist()], np.int64)
        wanted = node[rows].astype(np.uint64)
        at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        found = launched.copy()
        found[rows] = np.where(ids[at] == wanted, regions[at], launched[rows])
        return found

    def place(self, region_at: RegionAt) -> None:
        """Put nodes captured outside every region of the harness into what ``region_at`` finds.

        Args:
            region_at: function of (threads, times in ns), arrays of shape (n,), that returns one
                tuple of regions, outermost first, for each.
        """
        for nodes in list(self._graphs.values()):
            loose = [number for number, node in list(nodes.items()) if not node.regions]
            threads = np.array([nodes[number].thread for number in loose], np.int64)
            times = np.array([nodes[number].time_ns for number in loose], np.int64)
            for number, regions in zip(loose, region_at(threads, times), strict=True):
                nodes[number] = replace(nodes[number], regions=regions)

    def regions(self, graph_ids: Iterable[int]) -> dict[int, OpenRegion]:
        """The regions, with those around them, in which nodes of these graphs were captured."""
        found: dict[int, OpenRegion] = {}
        for graph_id in graph_ids:
            for node in list(self._graphs.get(graph_id, {}).values()):
                found.update({region.id: region for region in node.regions})
        return found
