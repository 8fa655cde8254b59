"""The kernels of each device, ready to be put to steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from harness.analyze.gaps import no_kernels
from harness.analyze.region_groups import RegionTree
from harness.analyze.selection import Ints, codes_of, grouped, in_start_order, ints, spans, timed
from harness.analyze.step_marker import steps_by_marker
from harness.analyze.step_phases import phase_of_names
from harness.analyze.step_table import Cut
from harness.analyze.work import UNKNOWN
from harness.trace import Trace

Key = tuple[int | None, ...]
"""A process and a device."""

_COLUMNS = ["kind", "name", "start_ns", "end_ns", "process", "device"]


class DeviceKernels:
    """The kernels of a Trace in the order of their starts, and the ranges that launched them."""

    def __init__(self, trace: Trace) -> None:
        table = trace.activities.select(_COLUMNS).append_column("launch", trace.launch_regions())
        table = in_start_order(timed(table, "kernel"))
        if not table.num_rows:
            raise no_kernels(trace)
        self.starts, self.ends = spans(table)
        codes, self.texts = codes_of(table["name"])
        self.codes = codes.astype(np.int64)
        self.tree = RegionTree(trace.regions)
        self.places = self.tree.places(ints(table["launch"]))
        self._groups = grouped(table, "process", "device")

    def devices(self) -> Iterator[tuple[Key, Ints | slice]]:
        """Process and device, and the places of their kernels."""
        yield from self._groups

    def cut(
        self,
        key: Key,
        rows: Ints | slice,
        step: Ints,
        names: list[str | None] | None = None,
        *,
        first_is_cut: bool = False,
        last_is_cut: bool = False,
    ) -> Cut:
        """Put the kernels of one device to steps."""
        places = self.places[rows]
        last = np.full(int(step.max()) + 1, UNKNOWN, np.int64)
        inside = step != UNKNOWN
        last[step[inside]] = places[inside]  # of several values NumPy keeps the last
        phases = [phase_of_names(self.tree.path(place)) for place in last.tolist()]
        return Cut(
            key[0],
            key[1],
            self.starts[rows],
            self.ends[rows],
            step,
            names or [None] * len(last),
            phases,
            first_is_cut,
            last_is_cut,
        )

    def at_markers(self, key: Key, rows: Ints | slice, is_marker: npt.NDArray[np.bool_]) -> Cut:
        """Cut the kernels of one device after each marker."""
        step = steps_by_marker(is_marker)
        return self.cut(key, rows, step, first_is_cut=True, last_is_cut=not is_marker[-1])
