"""Wall, busy and idle time of activities.

All times in ns. Wall is the last end less the first start. Idle (union) is the wall less the length
of the union of the intervals: work that overlaps counts once. The naive gap, which many scripts
report, is the sum over kernels in the order of their starts of max(0, next start - this end); it
counts as idle what an earlier, longer kernel still filled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from harness.analyze.intervals import Intervals, merged
from harness.analyze.selection import Ints, spans


@dataclass(frozen=True)
class Idle:
    """Busy and idle time of one device, or of all together.

    Attributes:
        device: its number; None for all (idle: none of them runs a kernel), and in a list of
            devices for kernels whose device is not known.
        process: whose device it is, where several processes use its number and each may mean
            another (`harness.analyze.devices`); else None.
        processes: how many processes ran kernels there.
        kernels: how many; those without both times are left out.
        total_kernel_ns: the sum of their durations.
        wall_ns, busy_union_ns, idle_union_ns: of kernels only.
        wall_with_copies_ns, busy_union_with_copies_ns, idle_union_with_copies_ns: of kernels,
            copies, fills and whole graphs.
        gap_naive_ns: of kernels; None unless asked for.
    """

    device: int | None
    process: int | None
    processes: int
    kernels: int
    total_kernel_ns: int
    wall_ns: int
    busy_union_ns: int
    idle_union_ns: int
    wall_with_copies_ns: int
    busy_union_with_copies_ns: int
    idle_union_with_copies_ns: int
    gap_naive_ns: int | None


@dataclass(frozen=True)
class Spans:
    """When activities ran: starts and ends in ns, shape (n,), in the order of the starts."""

    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, table: pa.Table) -> Spans:
        """Of activities in start order that have both times."""
        return cls(*spans(table))

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: Ints | slice) -> Spans:
        """Of these rows only."""
        return Spans(self.starts[rows], self.ends[rows])

    def union(self) -> Intervals:
        """When at least one ran."""
        return merged(self.starts, self.ends)

    @property
    def total_ns(self) -> int:
        """The sum of the durations."""
        return int((self.ends - self.starts).sum())

    @property
    def wall_ns(self) -> int:
        """The last end less the first start; there is at least one."""
        return int(self.ends.max()) - int(self.starts[0])

    @property
    def gap_naive_ns(self) -> int:
        """The naive gap, in the order of starts and, where they are equal, of ends."""
        starts, ends = self.starts, self.ends
        if (starts[1:] == starts[:-1]).any():
            order = np.lexsort((ends, starts))
            starts, ends = starts[order], ends[order]
        between = starts[1:] - ends[:-1]
        return int(np.maximum(between, 0, out=between).sum())


@dataclass(frozen=True)
class DeviceWork:
    """What one device did, or all together.

    Attributes:
        device: its number; None for all or where it is not known.
        process: as of `Idle`.
        processes: how many ran kernels on it.
        rows: places of its kernels in the table of all kernels.
        kernels: when they ran; at least one.
        busy: union of the kernels.
        copies: union of copies, fills and whole graphs.
    """

    device: int | None
    process: int | None
    processes: int
    rows: Ints | slice
    kernels: Spans
    busy: Intervals
    copies: Intervals


def idle(work: DeviceWork, *, naive: bool) -> Idle:
    """The figures of one device, or of all; ``naive`` adds the naive gap."""
    kernels, busy, copies = work.kernels, work.busy, work.copies
    wall = wall_with_copies = kernels.wall_ns
    both = busy
    if len(copies.starts):
        starts = np.concatenate([busy.starts, copies.starts])
        ends = np.concatenate([busy.ends, copies.ends])
        both = merged(starts, ends)
        wall_with_copies = int(
            max(kernels.ends.max(), ends.max()) - min(kernels.starts[0], starts.min())
        )
    busy_with_copies = both.length_ns
    return Idle(
        device=work.device,
        process=work.process,
        processes=work.processes,
        kernels=len(kernels),
        total_kernel_ns=kernels.total_ns,
        wall_ns=wall,
        busy_union_ns=busy.length_ns,
        idle_union_ns=wall - busy.length_ns,
        wall_with_copies_ns=wall_with_copies,
        busy_union_with_copies_ns=busy_with_copies,
        idle_union_with_copies_ns=wall_with_copies - busy_with_copies,
        gap_naive_ns=kernels.gap_naive_ns if naive else None,
    )
