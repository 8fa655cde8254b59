"""Nodes of CUDA graphs: when, and so in which region, each was created.

A node of an executable graph is a clone of the node that the capture made. An export has a row for
every creation and one for every clone, which names its original; instantiation writes both for the
same node. The region of a node is thus the one in force when the first original was created, not
when the executable graph was made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.files.nsys.columns import Column
from harness.record.files.nsys.database import Database
from harness.record.files.nsys.ids import global_process_of
from harness.record.files.nsys.innermost import Ranges
from harness.record.files.nsys.scan import scan

Array = npt.NDArray[Any]

NODES = "CUDA_GRAPH_NODE_EVENTS"

UNKNOWN = -1
"""Region of a node whose creation was not recorded."""


class Nodes:
    """The nodes of one export.

    Args:
        database: an export with the table `NODES`.
        ranges: to find regions by thread and time.
    """

    def __init__(self, database: Database, ranges: Ranges) -> None:
        names = {
            "start": "start",
            "thread": "globalTid",
            "node": "graphNodeId",
            "original": "originalGraphNodeId",
        }
        frame = scan(database, {NODES: {one: Column((source,)) for one, source in names.items()}})
        places = frame.places()
        columns = {
            name: frame.filled(name) if places is None else frame.filled(name)[places]
            for name in names
        }
        order = np.argsort(columns["start"], kind="stable")
        self._start, self._thread, self._node, self._original = (
            columns[name][order] for name in names
        )
        self._process = global_process_of(self._thread)
        self._region = ranges.at(self._thread, self._start)

    def regions_of(self, processes: Array, nodes: Array) -> Array:
        """The region in force when each node was created, `UNKNOWN` where that is not known.

        Args:
            processes: ``globalPid``, shape (n,).
            nodes: ids of executable graphs' nodes, shape (n,).
        """
        found = np.full(len(nodes), UNKNOWN, np.int64)
        for process in np.unique(processes).tolist():
            asked = np.flatnonzero(processes == process)
            roots = self._roots(process, nodes[asked])
            created = (self._process == process) & (self._original < 0)
            ids, first = np.unique(self._node[created], return_index=True)
            regions = self._region[created][first]
            found[asked] = _looked_up(ids, regions, roots, np.full(len(roots), UNKNOWN))
        return found

    def _roots(self, process: int, nodes: Array) -> Array:
        """The node that each is a clone of, through all clones."""
        cloned = (self._process == process) & (self._original >= 0)
        clones, first = np.unique(self._node[cloned], return_index=True)
        originals = self._original[cloned][first]
        roots = nodes
        for _ in range(len(clones)):  # so that a circle in a damaged file ends
            further = _looked_up(clones, originals, roots, roots)
            if np.array_equal(further, roots):
                break
            roots = further
        return roots


def _looked_up(keys: Array, values: Array, asked: Array, otherwise: Array) -> Array:
    """The value of each key that is asked for; ``keys`` are sorted."""
    if not len(keys):
        return otherwise
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], otherwise)
