"""The operator located by the regions around it: NVTX ranges, module hooks, profiler annotations.

An occurrence is what one region launched, regions inside it included. A graph's nodes are in the
region in which they were captured, so each launch of the graph is an occurrence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.analyze.region_groups import RegionTree
from harness.analyze.selection import ints
from harness.analyze.work import UNKNOWN
from harness.locate.launches import Ints, Launches
from harness.trace import Trace


@dataclass(frozen=True, eq=False)
class InRegion:
    """What one region launched on one device, in one launch of a graph where it was captured.

    Attributes:
        name: of the region.
        places: into the arrays of the device's `Launches`, ascending.
    """

    name: str
    places: Ints


class Regions:
    """The regions of a Trace whose names match a pattern.

    Args:
        trace: the model's.
        pattern: as `fnmatch.fnmatchcase` takes it; of regions inside each other the outermost.
    """

    def __init__(self, trace: Trace, pattern: str) -> None:
        tree = RegionTree(trace.regions)
        self.names = tree.names
        owners = np.array([*tree.outermost(pattern), UNKNOWN], np.int64)
        table = trace.activities
        self._owner = owners[tree.places(ints(table["region"]))]
        graphs = ints(table["graph"])
        self._launch = np.where(graphs == UNKNOWN, UNKNOWN, ints(table["correlation"]))

    def __bool__(self) -> bool:
        """Whether any of them launched something."""
        return bool((self._owner != UNKNOWN).any())

    def on(self, launches: Launches) -> Iterator[InRegion]:
        """What each launched on one device, in the order of the first starts."""
        owner, launch = self._owner[launches.rows], self._launch[launches.rows]
        inside = np.flatnonzero(owner != UNKNOWN)
        groups: dict[tuple[int, int], list[int]] = {}
        for place, *key in zip(
            inside.tolist(), owner[inside].tolist(), launch[inside].tolist(), strict=True
        ):
            groups.setdefault((key[0], key[1]), []).append(place)
        for (region, _), places in groups.items():
            yield InRegion(self.names[region], np.array(places, np.int64))
