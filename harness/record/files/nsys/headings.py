"""Headings of ``nsys stats`` reports of all releases, as one set of column names and units."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEADING = re.compile(r"\s*(?P<name>.*?)\s*(?:\((?P<unit>[^()]*)\)|:(?P<raw>\w+))?\s*$")

_NS = {
    **dict.fromkeys(("ns", "nsec", "nanoseconds", "ts_ns", "dur_ns"), 1.0),
    **dict.fromkeys(("us", "usec", "µs", "μs", "microseconds"), 1e3),
    **dict.fromkeys(("ms", "msec", "milliseconds"), 1e6),
    **dict.fromkeys(("s", "sec", "seconds"), 1e9),
}
"""Unit in a heading -> ns."""

_BYTES = {
    **dict.fromkeys(("b", "byte", "bytes", "mem_b"), 1.0),
    **dict.fromkeys(("kb",), 1e3),
    **dict.fromkeys(("mb",), 1e6),
    **dict.fromkeys(("gb",), 1e9),
    **dict.fromkeys(("kib",), 1024.0),
    **dict.fromkeys(("mib",), 1024.0**2),
    **dict.fromkeys(("gib",), 1024.0**3),
}
"""Unit in a heading -> bytes. ``nsys stats`` prints decimal MB since 2022, KiB before."""

_RATES = re.compile(r"([kmgt]?i?b)(?:ps|/s|/sec)$")

_TIMES = {
    "total time": "total_ns",
    "avg": "avg_ns",
    "average": "avg_ns",
    "med": "med_ns",
    "median": "med_ns",
    "min": "min_ns",
    "minimum": "min_ns",
    "max": "max_ns",
    "maximum": "max_ns",
    "stddev": "stddev_ns",
    "total proj time": "total_proj_ns",
    "total range time": "total_range_ns",
    "proj avg": "proj_avg_ns",
    "proj med": "proj_med_ns",
    "proj min": "proj_min_ns",
    "proj max": "proj_max_ns",
    "proj stddev": "proj_stddev_ns",
    "start": "start_ns",
    "duration": "duration_ns",
}
_SIZES = {
    "total": "total_bytes",
    "avg": "avg_bytes",
    "average": "avg_bytes",
    "med": "med_bytes",
    "median": "med_bytes",
    "min": "min_bytes",
    "minimum": "min_bytes",
    "max": "max_bytes",
    "maximum": "max_bytes",
    "stddev": "stddev_bytes",
    "bytes": "bytes",
    "stcsmem": "shared_static_bytes",
    "dymsmem": "shared_dynamic_bytes",
}
_OTHERS = {
    "instances": "count",
    "num calls": "count",
    "count": "count",
    "calls": "count",
    "operations": "count",
    "range instances": "count",
    "total gpu ops": "gpu_ops",
    "avg gpu ops": "avg_gpu_ops",
    "avg range lvl": "avg_level",
    "avg num child": "avg_children",
    "name": "name",
    "operation": "name",
    "range": "name",
    "style": "style",
    "category": "category",
    "corrid": "correlation",
    "grdx": "grid_x",
    "grdy": "grid_y",
    "grdz": "grid_z",
    "blkx": "block_x",
    "blky": "block_y",
    "blkz": "block_z",
    "reg/trd": "registers",
    "srcmemkd": "source_memory",
    "dstmemkd": "target_memory",
    "device": "device",
    "ctx": "context",
    "greenctx": "green_context",
    "strm": "stream",
    "throughput": "throughput_bytes_per_s",
}
TEXTS = frozenset(
    ("name", "style", "category", "source_memory", "target_memory", "device", "green_context")
)
"""Columns that hold words."""


@dataclass(frozen=True)
class Heading:
    """A heading understood.

    Attributes:
        column: normalised name.
        factor: multiplies a value into the unit that the name tells.
    """

    column: str
    factor: float = 1.0


def heading(text: str, sizes: bool = False) -> Heading | None:
    """A heading of any release; None where it is not known.

    Args:
        text: such as ``Total Time (ns)``, ``Time(%)``, ``Duration(nsec)``, ``Avg (MB)``,
            ``Average`` (ns before release 2022).
        sizes: whether a heading without unit is one of bytes (``cuda_gpu_mem_size_sum``).
    """
    found = _HEADING.fullmatch(text)
    if found is None:
        return None
    name = " ".join(found["name"].lower().split())
    unit = (found["unit"] or found["raw"] or "").strip().lower()
    if name == "time" and unit == "%":
        return Heading("time_pct")
    if name == "throughput":
        return Heading("throughput_bytes_per_s", _rate(unit))
    if name in _SIZES and (unit in _BYTES or (not unit and (sizes or name not in _TIMES))):
        return Heading(_SIZES[name], _BYTES.get(unit, 1.0))
    if name in _TIMES and (unit in _NS or not unit):
        return Heading(_TIMES[name], _NS.get(unit, 1.0))
    return Heading(_OTHERS[name]) if name in _OTHERS and not unit else None


def _rate(unit: str) -> float:
    found = _RATES.fullmatch(unit)
    return _BYTES.get(found[1], 1.0) if found else 1.0
