"""The launches of a Trace, device by device, with names that two Traces can be compared by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.analyze.selection import grouped, ints
from harness.analyze.work import UNKNOWN
from harness.names import family, identity_keys
from harness.names.spelling import spelling_key
from harness.trace import Trace

Ints = npt.NDArray[np.int64]

LAUNCHED = ("kernel", "memcpy", "memset", "op")
"""Kinds that an operator consists of; ``graph`` rows say nothing of what they launch."""


@dataclass(frozen=True, eq=False)
class Launches:
    """What one device of one process launched, in the order of the starts.

    Attributes:
        process, device: None where the source does not say.
        rows: places in the Trace's activities, shape (n,).
        names: identity keys, length n.
        starts, ends: ns, shape (n,); -1 where unknown.
        streams: shape (n,); -1 where unknown.
        replays: number of the launch of the graph that each is a node of, shape (n,); -1: of none.
    """

    process: int | None
    device: int | None
    rows: Ints
    names: list[str]
    starts: Ints
    ends: Ints
    streams: Ints
    replays: Ints

    def __len__(self) -> int:
        return len(self.rows)


def launches_of(trace: Trace) -> list[Launches]:
    """The launches of each device; ATen calls count as one device without a number."""
    wanted = pc.is_in(trace.activities["kind"].cast(pa.string()), pa.array(LAUNCHED))
    rows = np.flatnonzero(wanted.to_numpy(zero_copy_only=False))
    keys = identity_keys(trace)
    table = trace.activities.take(pa.array(rows))
    starts, ends = ints(table["start_ns"]), ints(table["end_ns"])
    columns = starts, ends, ints(table["stream"]), _replays(table)
    found = []
    for (process, device), group in grouped(table, "process", "device"):
        mine = np.arange(len(rows))[group]
        mine = mine[np.argsort(starts[mine], kind="stable")]
        names = [keys[row] for row in rows[mine].tolist()]
        arrays = (column[mine] for column in columns)
        found.append(Launches(process, device, rows[mine], names, *arrays))
    return found


def _replays(table: pa.Table) -> Ints:
    graphs, numbers = ints(table["graph"]), ints(table["correlation"])
    # a source that gives no number of the launch still tells one graph from another
    nodes = np.where(numbers == UNKNOWN, UNKNOWN - 1 - graphs, numbers)
    found: Ints = np.where(graphs == UNKNOWN, UNKNOWN, nodes)
    return found


def comparable(one: list[str], other: list[str]) -> Callable[[str], str]:
    """How to write names so that both lists can be compared: as they are, or by their spelling.

    Mangled names stay as they are where both lists have them; where only one has (Nsight and Kineto
    give names that somebody demangled) both are written as `harness.names.spelling` does.
    """
    if _mangled(one) == _mangled(other):
        return str
    return spelling_key


def families(write: Callable[[str], str]) -> Callable[[str], str]:
    """The same, by family: what is left of a name without tile sizes and template arguments."""
    return lambda name: name if name.startswith(("memcpy ", "memset ")) else family(write(name))


def _mangled(names: list[str]) -> bool:
    return any(name.startswith("_Z") for name in names)


def by_stream(launches: Launches) -> Iterator[Ints]:
    """Places (into the arrays of ``launches``) of each stream's launches, most launches first."""
    streams, counts = np.unique(launches.streams, return_counts=True)
    for stream in streams[np.argsort(-counts, kind="stable")].tolist():
        yield np.flatnonzero(launches.streams == stream)
