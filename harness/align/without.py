"""An observation as if kernels of some names had never been launched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from harness.align.observation import Observation, SideObservation
from harness.measure.model import GraphTopology
from harness.names import identity_keys
from harness.trace import Trace


def without_kernels(observed: Observation, patterns: Sequence[str]) -> Observation:
    """Both sides and the running layer without what one of these expressions finds in an identity.

    Times, tensors and outputs stay as they were observed.
    """
    pattern = re.compile("|".join(f"(?:{text})" for text in patterns))
    layer, reference = observed.in_layer, observed.reference
    return replace(
        observed,
        mock=_side(observed.mock, pattern),
        reference=None if reference is None else _side(reference, pattern),
        in_layer=None if layer is None else _side(layer, pattern),
    )


def _side(side: SideObservation, pattern: re.Pattern[str]) -> SideObservation:
    return replace(
        side,
        eager=_trace(side.eager, pattern),
        replay=_trace(side.replay, pattern),
        timed_topology=_graph(side.timed_topology, pattern),
        recorded_topology=_graph(side.recorded_topology, pattern),
    )


def _trace(trace: Trace | None, pattern: re.Pattern[str]) -> Trace | None:
    if trace is None:
        return None
    kept = pa.array([not pattern.search(key) for key in identity_keys(trace)], pa.bool_())
    return replace(trace, activities=trace.activities.filter(kept))


def _graph(graph: GraphTopology | None, pattern: re.Pattern[str]) -> GraphTopology | None:
    """The graph with the nodes bridged: what came before them leads to what came after."""
    if graph is None:
        return None
    gone = {at for at, (_, name) in enumerate(graph.nodes) if pattern.search(name)}
    edges = set(graph.edges)
    for node in gone:
        before = [a for a, b in edges if b == node]
        after = [b for a, b in edges if a == node]
        edges = {edge for edge in edges if node not in edge}
        edges |= {(a, b) for a in before for b in after}
    kept = [at for at in range(len(graph.nodes)) if at not in gone]
    place = {old: new for new, old in enumerate(kept)}
    nodes = tuple(graph.nodes[at] for at in kept)
    return GraphTopology(nodes, tuple(sorted((place[a], place[b]) for a, b in edges)))
