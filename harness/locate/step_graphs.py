"""Steps that are replays of CUDA graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from harness.analyze.region_groups import RegionTree
from harness.analyze.selection import ints
from harness.analyze.step_phases import UNKNOWN as UNKNOWN_PHASE
from harness.analyze.step_phases import phase_of_names
from harness.analyze.step_table import Cut, step_rows
from harness.analyze.work import UNKNOWN
from harness.locate.hits import Hit, on_devices
from harness.locate.launches import Ints, Launches
from harness.locate.step_lookup import StepTable
from harness.trace import Trace


def are_steps(trace: Trace, hits: list[Hit], bounds: Mapping[int, Sequence[int]]) -> bool:
    """Whether each replay is a whole step.

    Not so where most occurrences are in no graph or in several replays, and where another rule
    puts several replays of different graphs into a step: then each is a piece of the model.

    Args:
        bounds: by `id` of the launches of a device, the occurrences with which another rule lets
            steps begin.
    """
    whole = sum(hit.replay != UNKNOWN for hit in hits)
    if 2 * whole < max(len(hits), 1):
        return False
    graphs = ints(trace.activities["graph"])
    pieces, groups = 0, 0
    for launches, mine in on_devices(hits):
        own = bounds.get(id(launches))
        if own is None:
            continue
        for begin, end in pairwise((0, *own, len(mine))):
            within = [hit for hit in mine[begin:end] if hit.replay != UNKNOWN]
            replays = {hit.replay for hit in within}
            different = {int(graphs[launches.rows[hit.places[0]]]) for hit in within}
            pieces += 1 < len(replays) == len(different)
            groups += 1
    return 2 * pieces <= groups


def steps_of_graphs(trace: Trace, hits: list[Hit]) -> StepTable:
    """Each replay of a graph like those that hold occurrences is a step."""
    graphs, launch = ints(trace.activities["graph"]), ints(trace.activities["correlation"])
    tree = RegionTree(trace.regions)
    regions = tree.places(ints(trace.launch_regions()))
    names = {name for hit in hits for name in hit.names}
    rows = []
    for launches, _ in on_devices(hits):
        like = _graphs_like(names, launches, graphs[launches.rows])
        step = _numbered(np.where(like, launch[launches.rows], UNKNOWN))
        if (step == UNKNOWN).all():
            continue
        last = np.full(int(step.max()) + 1, UNKNOWN, np.int64)
        last[step[step != UNKNOWN]] = regions[launches.rows][step != UNKNOWN]
        phases = [phase_of_names(tree.path(place)) for place in last.tolist()]
        rows += step_rows(
            Cut(
                launches.process,
                launches.device,
                launches.starts,
                launches.ends,
                step,
                [None] * len(last),
                phases,
                first_is_cut=False,
                last_is_cut=False,
            )
        )
    unknown = any(row["phase"] == UNKNOWN_PHASE for row in rows)
    notes = ("prefill and decode cannot be told apart for some steps",) if unknown else ()
    return StepTable(
        "a step is the replay of a CUDA graph with kernels of the operator", rows, notes
    )


def _graphs_like(names: set[str], launches: Launches, graphs: Ints) -> npt.NDArray[np.bool_]:
    """Which launches are of graphs that have at least half of these names.

    So the graphs of both phases are steps, and those of a sampler are not.
    """
    of_graph: dict[int, set[str]] = {}
    for graph, name in zip(graphs.tolist(), launches.names, strict=True):
        if graph != UNKNOWN:
            of_graph.setdefault(graph, set()).add(name)
    like = [graph for graph, own in of_graph.items() if 2 * len(own & names) >= len(names)]
    return np.isin(graphs, like)


def _numbered(launch: Ints) -> Ints:
    """Launches of graphs as numbers in the order in which they first ran; `UNKNOWN` stays."""
    different, start, step = np.unique(launch, return_index=True, return_inverse=True)
    ranks = np.full(len(different), UNKNOWN, np.int64)
    known = np.flatnonzero(different != UNKNOWN)
    ranks[known[np.argsort(start[known])]] = np.arange(len(known))
    numbers: Ints = ranks[step]
    return numbers
