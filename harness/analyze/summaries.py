"""What ran how often and how long, in the columns of NVIDIA's ``nsys stats``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.analyze.selection import has_values, spans, timed
from harness.analyze.statistics import Statistics, column, named_groups, statistics
from harness.names.demangle import demangle
from harness.trace import Trace

_SIDES = {"H": "Host", "D": "Device", "A": "Array", "P": "Peer"}


def kernel_summary(trace: Trace) -> pa.Table:
    """The table of ``nsys stats --report cuda_gpu_kern_sum``: kernels by name, longest sum first.

    Columns in NVIDIA's order; times in ns, averages, median, the sample standard deviation (0 for
    one instance) and the share of the sum of all kernels in % to one decimal, halves rounded away
    from zero. Equal sums are in the order of their names. Kernels without both times are left out.

    Names are demangled by the C++ runtime, whose spelling is not that of NVIDIA's demangler (``2``
    for ``(int)2``); names that are not mangled stay as they are. Kernels whose demangled names are
    equal count as one, as in NVIDIA's.

    Raises:
        MissingPackageError: names cannot be demangled here.
    """
    kernels = timed(trace.activities.select(["kind", "name", "start_ns", "end_ns"]), "kernel")
    names, group = named_groups(kernels["name"], demangle)
    return _by_name(names, group, _durations(kernels), "Instances", "Name")


def memory_summary(trace: Trace) -> pa.Table:
    """The table of ``nsys stats --report cuda_gpu_mem_time_sum``: copies and fills by operation.

    As `kernel_summary`; the share is of the sum of all copies and fills.
    """
    rows = timed(
        trace.activities.select(["kind", "name", "start_ns", "end_ns"]), "memcpy", "memset"
    )
    names, group = named_groups(rows["name"], memory_operation)
    return _by_name(names, group, _durations(rows), "Count", "Operation")


def api_summary(trace: Trace) -> pa.Table:
    """The table of ``nsys stats --report cuda_api_sum``: CUDA API calls of the host by name.

    As `kernel_summary`, of the calls that were recorded, runtime and driver together.
    """
    calls = trace.calls
    kept = has_values(calls, "start_ns", "end_ns")
    calls = calls if kept.all() else calls.filter(pa.array(kept))
    names, group = named_groups(calls["name"], api_name)
    return _by_name(names, group, _durations(calls), "Num Calls", "Name")


def api_name(name: str) -> str:
    """The name of an API call as ``nsys stats`` shows it.

    The version at the end is left out where it has four digits: ``cudaLaunchKernel_v7000`` is
    ``cudaLaunchKernel``, but ``cudaGraphLaunch_v10000`` and ``cuGetProcAddress_v2`` stay (so in
    the reports of nsys 2023.1 and 2025.3).
    """
    return name[:-6] if name[-6:-4] == "_v" else name


def memory_operation(name: str) -> str:
    """A copy or fill as ``nsys stats`` 2025.3 shows it: ``[CUDA memcpy Host-to-Device]``."""
    if name == "memset":
        return "[CUDA memset]"
    if len(name) == 4 and name[1:3] == "to" and name[0] in _SIDES and name[3] in _SIDES:
        return f"[CUDA memcpy {_SIDES[name[0]]}-to-{_SIDES[name[3]]}]"
    return f"[CUDA memcpy {name}]"


def longest_first(total: npt.NDArray[np.int64], names: Sequence[Any]) -> list[int]:
    """The order of NVIDIA's tables: by the sum, equal sums by name."""
    return sorted(range(len(names)), key=lambda one: (-total[one], names[one]))


def summary_columns(
    figures: Statistics, count_heading: str, order: list[int]
) -> dict[str, pa.Array]:
    """The columns that NVIDIA's summaries share, rows in this order; the share is of all sums."""
    columns = {
        "Time (%)": figures.total * 100.0 / max(int(figures.total.sum()), 1),
        "Total Time (ns)": figures.total,
        count_heading: figures.count,
        "Avg (ns)": figures.mean,
        "Med (ns)": figures.median,
        "Min (ns)": figures.minimum,
        "Max (ns)": figures.maximum,
        "StdDev (ns)": figures.deviation,
    }
    return {name: column(values[order]) for name, values in columns.items()}


def _durations(rows: pa.Table) -> npt.NDArray[np.int64]:
    starts, ends = spans(rows)
    return ends - starts


def _by_name(
    names: list[str],
    group: npt.NDArray[Any],
    durations: npt.NDArray[np.int64],
    count_heading: str,
    name_heading: str,
) -> pa.Table:
    figures = statistics(group, durations)
    found = [names[one] for one in figures.group.tolist()]
    order = longest_first(figures.total, found)
    columns = summary_columns(figures, count_heading, order)
    return pa.table({**columns, name_heading: pa.array([found[one] for one in order], pa.string())})
