"""What the devices did, as NumPy arrays: compute, communication, copies by direction."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from harness.analyze.devices import Numbers, device_groups, shared_numbers
from harness.analyze.intervals import Intervals, merged
from harness.analyze.selection import DEVICE_KINDS, Ints, Mask, codes_of, ints, spans, timed
from harness.trace import Trace

COMPUTE = "compute"
"""Kernels other than NCCL's, and whole CUDA graphs, into which the source does not look."""

NCCL = "NCCL kernels"

MEMSET = "memset"

COPY = "copy "
"""What the class of a copy begins with; its direction follows, as in ``copy HtoD``."""

UNKNOWN = -1
"""Stands in an array for an id that the Trace does not know."""

# ncclKernel_AllReduce_..., ncclDevKernel_SendRecv, ncclSymkDevKernel_...; also within mangled names
_NCCL = re.compile(r"nccl\w*?Kernel")


@dataclass(frozen=True)
class Work:
    """The activities of devices that have both times, in the Trace's order.

    Attributes:
        starts, ends: ns, shape (n,).
        devices: number into ``device_labels``, shape (n,).
        device_labels: device and process, as of `harness.analyze.devices.device_groups`.
        shared_numbers: device numbers whose processes are told apart.
        regions: ids, shape (n,); the region at the launch, of graph nodes at the graph's.
        classes: number into ``class_names``, shape (n,).
        class_names: `COMPUTE`, `NCCL`, `MEMSET`, or `COPY` and a direction.
        rows: the same activities as the Trace has them.
    """

    starts: Ints
    ends: Ints
    devices: Ints
    device_labels: tuple[tuple[int | None, ...], ...]
    shared_numbers: Numbers
    regions: Ints
    classes: Ints
    class_names: tuple[str, ...]
    rows: pa.Table

    def of_class(self, *names: str) -> Mask:
        """Which activities are of these classes."""
        wanted = np.array([name in names for name in self.class_names], np.bool_)
        return wanted[self.classes]

    @property
    def device_masks(self) -> list[Mask]:
        """Which activities are of each device, in the order of ``device_labels``."""
        return [self.devices == number for number in range(len(self.device_labels))]

    @property
    def copy_classes(self) -> tuple[str, ...]:
        """The copies' classes, in the order of their names."""
        return tuple(sorted(name for name in self.class_names if name.startswith(COPY)))

    def of_kind(self, kind: str) -> Mask:
        """Which activities are of this kind."""
        codes, names = codes_of(self.rows["kind"])
        return np.isin(codes, [code for code, name in enumerate(names) if name == kind])

    def union(self, mask: Mask) -> Intervals:
        """When at least one of these activities ran."""
        return merged(self.starts[mask], self.ends[mask])


def device_work(trace: Trace) -> Work:
    """The kernels, copies, fills and whole graphs of a Trace that have a name and both times."""
    launched_in = trace.launch_regions()
    rows = timed(trace.activities.append_column("_region", launched_in), *DEVICE_KINDS)
    starts, ends = spans(rows)
    classes, names = _classes(rows)
    shared = shared_numbers(trace)
    devices = device_groups(rows, shared)
    return Work(
        starts,
        ends,
        devices.of_row.astype(np.int64, copy=False),
        tuple(devices.labels),
        shared,
        ints(rows["_region"]),
        classes,
        names,
        rows,
    )


def _classes(table: pa.Table) -> tuple[Ints, tuple[str, ...]]:
    kinds, kind_names = codes_of(table["kind"])
    names, texts = codes_of(table["name"])
    # Different pairs are few, rows are many.
    pairs, place = np.unique(kinds.astype(np.int64) * len(texts) + names, return_inverse=True)
    found = [
        _class(kind_names[pair // len(texts)], texts[pair % len(texts)]) for pair in pairs.tolist()
    ]
    known = tuple(dict.fromkeys(found))
    codes = np.array([known.index(name) for name in found], np.int64)
    return codes[place], known


def _class(kind: str, name: str) -> str:
    if kind == "memcpy":
        return COPY + (name or "of unknown direction")
    if kind == "memset":
        return MEMSET
    return NCCL if kind == "kernel" and _NCCL.search(name) else COMPUTE
