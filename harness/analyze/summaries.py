"""What ran how often and how long, in the columns of NVIDIA's ``nsys stats``."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.names.demangle import demangle
from harness.trace import Trace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TENTH = Decimal("0.1")


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
    rows = trace.activities.select(["kind", "name", "start_ns", "end_ns"])
    kernels = rows.filter(pc.equal(rows["kind"].cast(pa.string()), "kernel"))
    return _summary(kernels, "Instances", demangle)


def api_summary(trace: Trace) -> pa.Table:
    """The table of ``nsys stats --report cuda_api_sum``: CUDA API calls of the host by name.

    As `kernel_summary`, of the calls that were recorded, runtime and driver together.
    """
    return _summary(trace.calls, "Num Calls", api_name)


def api_name(name: str) -> str:
    """The name of an API call as ``nsys stats`` shows it.

    The version at the end is left out where it has four digits: ``cudaLaunchKernel_v7000`` is
    ``cudaLaunchKernel``, but ``cudaGraphLaunch_v10000`` and ``cuGetProcAddress_v2`` stay (so in
    the reports of nsys 2023.1 and 2025.3).
    """
    return name[:-6] if name[-6:-4] == "_v" else name


def _summary(rows: pa.Table, count_heading: str, rename: Callable[[str], str]) -> pa.Table:
    timed = pc.and_(pc.is_valid(rows["start_ns"]), pc.is_valid(rows["end_ns"]))
    rows = rows.filter(pc.and_(timed, pc.is_valid(rows["name"])))
    names, group = _groups(rows["name"], rename)
    columns = _statistics(group, _int64(rows["end_ns"]) - _int64(rows["start_ns"]))
    found = [names[one] for one in columns.pop("group")]
    total: Ints = columns["Total Time (ns)"]
    order = sorted(range(len(found)), key=lambda one: (-total[one], found[one]))
    share = total * 100.0 / max(int(total.sum()), 1)
    table = {"Time (%)": share, **columns}
    arrays = {_heading(name, count_heading): _column(table[name][order]) for name in table}
    return pa.table({**arrays, "Name": pa.array([found[one] for one in order], pa.string())})


def _heading(name: str, count_heading: str) -> str:
    return count_heading if name == "count" else name


def _groups(names: pa.ChunkedArray, rename: Callable[[str], str]) -> tuple[list[str], Ints]:
    """The different names as shown, and for each row the number of its name."""
    encoded = names.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # what no rows combine to
        encoded = pa.array([], names.type)
    number: dict[str, int] = {}
    codes = [
        number.setdefault(rename(name), len(number)) for name in encoded.dictionary.to_pylist()
    ]
    return list(number), np.array(codes, np.int64)[_int64(encoded.indices)]


def _int64(column: Any) -> Ints:
    values: Ints = (
        column.to_numpy(zero_copy_only=False)
        if isinstance(column, pa.Array)
        else (column.to_numpy())
    )
    return values.astype(np.int64, copy=False)


def _statistics(group: Ints, duration: Ints) -> dict[str, Any]:
    """Per group that occurs: its number, and NVIDIA's figures of the durations, not yet rounded."""
    order = np.lexsort((duration, group))
    sorted_group, sorted_duration = group[order], duration[order]
    first = np.flatnonzero(np.diff(sorted_group, prepend=-1))
    count = np.diff(first, append=len(group))
    last = first + count - 1
    total = _sums(sorted_duration, first)
    average = total / count
    middle = sorted_duration[first + (count - 1) // 2] + sorted_duration[first + count // 2]
    deviation = sorted_duration - np.repeat(average, count)
    variance = _sums(deviation * deviation, first) / np.maximum(count - 1, 1)
    return {
        "group": sorted_group[first],
        "Total Time (ns)": total,
        "count": count,
        "Avg (ns)": average,
        "Med (ns)": middle / 2,
        "Min (ns)": sorted_duration[first],
        "Max (ns)": sorted_duration[last],
        "StdDev (ns)": np.sqrt(variance),
    }


def _sums(values: Any, first: Ints) -> Any:
    # reduceat wants at least one group
    return np.add.reduceat(values, first) if len(first) else values


def _column(values: Any) -> pa.Array:
    if values.dtype.kind == "i":
        return pa.array(values, pa.int64())
    return pa.array([_rounded(value) for value in values.tolist()], pa.float64())


def _rounded(value: float) -> float:
    """To one decimal, halves away from zero as in SQL; round() would go to the even digit."""
    return float(Decimal(value).quantize(_TENTH, ROUND_HALF_UP))
