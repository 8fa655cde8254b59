"""The API calls of the host that have both times, as NumPy arrays."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from harness.analyze.intervals import Intervals, merged
from harness.analyze.selection import Ints, Mask, codes_of, has_values, spans
from harness.trace import Trace

_GRAPH_LAUNCH = re.compile(r"(cuda|cu)GraphLaunch")


def launches_graph(name: str) -> bool:
    """Whether a call of this name, such as ``cudaGraphLaunch_v10000``, launches a CUDA graph."""
    return bool(_GRAPH_LAUNCH.match(name))


class HostCalls:
    """API calls in the Trace's order.

    Attributes:
        starts, ends: ns, shape (n,).
        names: the different names as recorded.
        codes: number into ``names``, shape (n,).
        rows: the same calls as the Trace has them.
    """

    def __init__(self, trace: Trace) -> None:
        table = trace.calls
        kept = has_values(table, "name", "start_ns", "end_ns")
        table = table if kept.all() else table.filter(pa.array(kept))
        self.rows = table
        self.starts, self.ends = spans(table)
        self.codes, self.names = codes_of(table["name"])

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def span_ns(self) -> int:
        """From the first call's start to the last one's end; 0 without calls."""
        return int(self.ends.max() - self.starts.min()) if len(self) else 0

    def of(self, wanted: Callable[[str], bool]) -> Mask:
        """Which calls have a name of which this holds."""
        codes = [code for code, name in enumerate(self.names) if wanted(name)]
        return np.isin(self.codes, codes)

    def union(self, chosen: Mask) -> Intervals:
        """When at least one thread was in one of these calls."""
        return merged(self.starts[chosen], self.ends[chosen])

    def durations(self, chosen: Mask) -> Ints:
        """Length of each of these calls, in ns."""
        lengths: Ints = self.ends[chosen] - self.starts[chosen]
        return lengths
