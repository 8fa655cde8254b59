"""How long each launch of a side took, forward by forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.align.streams import DEVICE, place_numbers
from harness.analyze.intervals import union_ns
from harness.names import identity_keys
from harness.trace import Trace

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def launch_ns(forwards: Sequence[Trace]) -> Floats:
    """Duration of each launch of the last forward in every forward that launches the same.

    Nodes of a graph are found again by their ids, since branches race; other launches by their
    place in a list of the same names.

    Args:
        forwards: of one side and mode.

    Returns:
        ns, shape (forwards that launch the same, launches of the last); NaN where not known.
    """
    if not forwards:
        return np.empty((0, 0))
    wanted, nodes = identity_keys(forwards[-1]), _nodes(forwards[-1])
    found = []
    for forward in forwards:
        theirs = _nodes(forward)
        if nodes is not None and theirs is not None and set(nodes) == set(theirs):
            row = {node: at for at, node in enumerate(theirs)}
            found.append(spans_ns(forward)[[row[node] for node in nodes]])
        elif identity_keys(forward) == wanted:
            found.append(spans_ns(forward))
    return np.stack(found)


def device_times(forward: Trace) -> dict[str, int] | None:
    """Figures of one forward in ns; None where nothing has a start and an end.

    ``kernels_ns`` is the sum of all durations, ``busy_ns`` their union, ``span_ns`` the time from
    the first start to the last end, ``gaps_ns`` the span without the union, ``parallel_ns`` the
    time that the streams of a device save by running at once: the sum of the unions of each less
    the union of the device, summed over devices.
    """
    timed = timed_columns(forward)
    starts, ends = timed.starts, timed.ends
    if not len(starts):
        return None
    busy = union_ns(starts, ends)
    span = int(ends.max() - starts.min())
    return {
        "kernels_ns": int((ends - starts).sum()),
        "busy_ns": busy,
        "span_ns": span,
        "gaps_ns": span - busy,
        "parallel_ns": timed.union_of_each(timed.streams) - timed.union_of_each(timed.devices),
    }


class Timed(NamedTuple):
    """What of a forward has both times; arrays of one length.

    Attributes:
        starts, ends: ns.
        streams, devices: numbers of `harness.align.streams.place_numbers`.
        rows: in the Trace.
    """

    starts: Ints
    ends: Ints
    streams: Ints
    devices: Ints
    rows: Ints

    def union_of_each(self, places: Ints) -> int:
        """Time that each stream, or device, is busy, summed over them, in ns."""
        parts = (places == one for one in np.unique(places))
        return sum(union_ns(self.starts[part], self.ends[part]) for part in parts)


def timed_columns(forward: Trace) -> Timed:
    """Times and places of what has both times."""
    table = forward.activities.select(
        ["start_ns", "end_ns", "process", "device", "context", "stream"]
    )
    known = pc.and_(pc.is_valid(table["start_ns"]), pc.is_valid(table["end_ns"]))
    rows = pc.indices_nonzero(known).to_numpy().astype(np.int64)
    table = table.filter(known)
    starts, ends = table["start_ns"].to_numpy(), table["end_ns"].to_numpy()
    return Timed(starts, ends, place_numbers(table), place_numbers(table, DEVICE), rows)


def spans_ns(trace: Trace) -> Floats:
    """Duration of each activity in ns, shape (activities,); NaN where a time is not known."""
    table = trace.activities
    # Subtracted as integers: a double holds today's ns since 1970 only to 256 ns.
    spans: Floats = pc.subtract(table["end_ns"], table["start_ns"]).cast(pa.float64()).to_numpy()
    return spans


def _nodes(trace: Trace) -> list[int] | None:
    """Node ids, where every activity has one of its own."""
    nodes: list[int | None] = trace.activities["graph_node"].to_pylist()
    known = [node for node in nodes if node is not None]
    return known if len(set(known)) == len(nodes) else None
