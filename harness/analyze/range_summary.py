"""NVTX ranges, on the host and projected onto the GPU, in the columns of ``nsys stats``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.analyze.projection import is_range, project
from harness.analyze.selection import Ints, spans
from harness.analyze.statistics import column, statistics
from harness.analyze.summaries import longest_first, summary_columns
from harness.trace import Trace

Range = tuple[str, str]


def range_summary(trace: Trace) -> pa.Table:
    """The table of ``nsys stats --report nvtx_sum``: host time of ranges by name and style.

    As `harness.analyze.kernel_summary`; names are ``domain:name``, ranges of push and pop apart
    from those of start and end, marks left out. The share is of the sum over all ranges, so what is
    nested counts more than once. A range that is still open ends with the last time of the regions
    table, as NVIDIA's does.
    """
    regions = _closed(trace.regions)
    ranges, group = range_groups(regions)
    starts, ends = spans(regions)
    figures = statistics(group, ends - starts)
    found = [ranges[one] for one in figures.group.tolist()]
    order = longest_first(figures.total, found)
    return pa.table(
        {
            **summary_columns(figures, "Instances", order),
            "Style": pa.array([found[one][1] for one in order], pa.string()),
            "Range": pa.array([found[one][0] for one in order], pa.string()),
        }
    )


def range_projection(trace: Trace) -> pa.Table:
    """The table of ``nsys stats --report nvtx_gpu_proj_sum``: GPU time of ranges by name and style.

    Columns in NVIDIA's order, longest projected time first, equal ones by name; times in ns, means
    and the like rounded as in `harness.analyze.kernel_summary`. What is in a range, and which
    ranges are shown, says `harness.analyze.projection.project`.
    """
    found = project(trace)
    ranges, group = range_groups(found.regions)
    starts, ends = spans(found.regions)
    projected = statistics(group, found.end_ns - found.start_ns)
    operations = statistics(group, found.operations)
    columns = {
        "Total Proj Time (ns)": projected.total,
        "Total Range Time (ns)": statistics(group, ends - starts).total,
        "Range Instances": projected.count,
        "Proj Avg (ns)": projected.mean,
        "Proj Med (ns)": projected.median,
        "Proj Min (ns)": projected.minimum,
        "Proj Max (ns)": projected.maximum,
        "Proj StdDev (ns)": projected.deviation,
        "Total GPU Ops": operations.total,
        "Avg GPU Ops": operations.mean,
        "Avg Range Lvl": statistics(group, found.level).mean,
        "Avg Num Child": statistics(group, found.children).mean,
    }
    shown = [ranges[one] for one in projected.group.tolist()]
    order = longest_first(projected.total, shown)
    return pa.table(
        {
            "Range": pa.array([shown[one][0] for one in order], pa.string()),
            "Style": pa.array([shown[one][1] for one in order], pa.string()),
            **{name: column(values[order]) for name, values in columns.items()},
        }
    )


def range_groups(regions: pa.Table) -> tuple[list[Range], Ints]:
    """The different (name, style) as NVIDIA shows them, and for each region the number of its own.

    A name is ``domain:name``, ``:name`` in the default domain. A style that the source does not
    say is ``Unknown``.
    """
    columns = (regions[name].to_pylist() for name in ("domain", "name", "style"))
    number: dict[Range, int] = {}
    group = [
        number.setdefault((f"{domain or ''}:{name or ''}", style or "Unknown"), len(number))
        for domain, name, style in zip(*columns, strict=True)
    ]
    return list(number), np.array(group, np.int64)


def _closed(regions: pa.Table) -> pa.Table:
    """The ranges of a regions table, without marks; open ones end with its last time."""
    ranges = regions.filter(pa.array(is_range(regions)))
    times = [pc.max(regions[name]).as_py() for name in ("start_ns", "end_ns")]
    last = max((time for time in times if time is not None), default=0)
    place = ranges.schema.get_field_index("end_ns")
    return ranges.set_column(place, "end_ns", pc.fill_null(ranges["end_ns"], last))
