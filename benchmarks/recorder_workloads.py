"""What is recorded in `benchmarks.recorder`: tiny kernels, graphs of them, vLLM's DSA layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

RECORDS_PER_LAUNCH = 3
"""Raw records of an eager launch inside a region: kernel, API call, external correlation."""

ACTIVITY_NODES = ("kernel", "memcpy", "memset")
WORKLOADS = ("eager", "graph", "dsa", "million", "million_graph", "scaling")


class SkippedError(Exception):
    """A workload cannot run here, for a reason that is no fault."""


@dataclass(frozen=True)
class Sizes:
    """How much is launched per recording.

    Attributes:
        launches: of the eager stream.
        nodes: of the graph of tiny kernels.
        replays: of that graph.
        dsa_calls, dsa_replays: eager forwards and graph replays of the DSA layer.
        records: raw records of the ``million`` workloads.
    """

    launches: int = 100_000
    nodes: int = 3_000
    replays: int = 34
    dsa_calls: int = 100
    dsa_replays: int = 500
    records: int = 1_000_000


QUICK = Sizes(3_000, 300, 10, 5, 10, 30_000)
"""Sizes of a smoke run."""


@dataclass(frozen=True)
class Part:
    """One thing that is launched again and again, and recorded.

    Attributes:
        name: in the results.
        call: one eager launch, forward or graph replay.
        calls: per recording.
        nodes: device activities per call.
        api_calls: launching API calls per call.
        graph: the call replays a graph, whose device time per node is of interest.
        recordings: per child, with the device synchronised before the clock starts; half as
            many, rounded up, without.
        context: entered around the calls of a recording.
        reset: called before each recording.
    """

    name: str
    call: Callable[[], object]
    calls: int
    nodes: int = 1
    api_calls: int = 1
    graph: bool = False
    recordings: int = 2
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    reset: Callable[[], None] = lambda: None

    @property
    def records_per_call(self) -> int:
        """Raw records: activities, API calls and one external correlation per API call."""
        return self.nodes + 2 * self.api_calls

    def limited(self, records: int) -> Part:
        """The same with at most about so many raw records per recording (0: no limit)."""
        if not records:
            return self
        return replace(self, calls=max(1, min(self.calls, records // self.records_per_call)))


def build(name: str, sizes: Sizes) -> Sequence[Part]:
    """Build a workload, untraced.

    Raises:
        SkippedError: it cannot run here.
    """
    makers: dict[str, Callable[[Sizes], Sequence[Part]]] = {
        "eager": _eager,
        "graph": _graph,
        "dsa": _dsa,
        "million": lambda s: [_stream("million", s.records // RECORDS_PER_LAUNCH + 1, 1)],
        "million_graph": _million_graph,
        "scaling": _scaling,
        "host": lambda s: [Part("host", lambda: None, s.launches)],  # proves the protocol, no GPU
    }
    return makers[name](sizes)


def _stream(name: str, launches: int, recordings: int = 2) -> Part:
    import torch

    tensor = torch.zeros(1, device="cuda")
    return Part(name, functools.partial(tensor.add_, 1), launches, recordings=recordings)


def _eager(sizes: Sizes) -> list[Part]:
    return [_stream("eager", sizes.launches), _stream("eager_small", 333, 6)]


def _scaling(sizes: Sizes) -> list[Part]:
    """The same stream at 10^3, 10^4, ... raw records; the most often repeated are the smallest."""
    decades = range(3, int(math.log10(sizes.records)) + 1)
    return [
        _stream(f"records_{10**decade}", round(10**decade / RECORDS_PER_LAUNCH), repeats)
        for decade, repeats in zip(decades, (10, 6, 3, *[1] * len(decades)), strict=False)
    ]


def _replayed(name: str, nodes: int, replays: int, recordings: int) -> Part:
    import torch

    tensor = torch.zeros(1, device="cuda")
    tensor.add_(1)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(nodes):
            tensor.add_(1)
    return Part(name, graph.replay, replays, nodes, graph=True, recordings=recordings)


def _graph(sizes: Sizes) -> list[Part]:
    return [_replayed("graph", sizes.nodes, sizes.replays, 3)]


def _million_graph(sizes: Sizes) -> list[Part]:
    return [_replayed("million_graph", sizes.nodes, math.ceil(sizes.records / sizes.nodes), 1)]


def _dsa(sizes: Sizes) -> list[Part]:
    """The generation layer at tp 8: the reference, built and captured as the harness does it."""
    from harness.measure.graph import capture
    from ops.adapters.vllm import VllmAdapter
    from ops.case import Case
    from ops.registry import operator

    op, adapter = operator("dsa"), VllmAdapter()
    found = adapter.availability(op)
    if not found.ok:
        raise SkippedError(found.reason)
    case = Case("dsa", "generation", 8, 8, 1, 4096, framework="vllm")
    side = adapter.build(op, case, "cuda").reference
    graph = capture(side)
    if graph.topology is None:
        raise SkippedError(f"the number of activities is unknown: {graph.topology_problem}")
    count = sum(kind in ACTIVITY_NODES for kind, _name in graph.topology.nodes)
    eager = Part(
        "dsa_eager", side.call, sizes.dsa_calls, count, count, False, 3, side.context, side.reset
    )
    return [eager, Part("dsa_graph", graph.replay, sizes.dsa_replays, count, 1, True, 3)]
