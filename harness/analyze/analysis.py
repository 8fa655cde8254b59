"""The tables that were asked for of one Trace, under the names that files and JSON give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.analyze.coverage import coverage
from harness.analyze.figures import figures
from harness.analyze.findings import findings
from harness.analyze.gaps import gaps
from harness.analyze.hotspots import hot_spots
from harness.analyze.launches import launches
from harness.analyze.overlap import overlap
from harness.analyze.range_summary import range_projection, range_summary
from harness.analyze.ranges import ranges
from harness.analyze.rules import Finding
from harness.analyze.steps import steps
from harness.analyze.streaming import streaming
from harness.analyze.summaries import api_summary, kernel_summary, memory_summary
from harness.errors import NoSignalError
from harness.trace import Trace


@dataclass(frozen=True)
class Wanted:
    """What to say about a Trace.

    Attributes:
        parts: names of `PARTS`, in any order.
        largest: how many large gaps and top kernels.
        naive: whether the naive gap is wanted.
        step_marker: pattern of the kernel that ends a step; None: steps by range or period.
        step_range: pattern of the ranges that are steps.
        patterns: of range names, for ranges and overlap; all names without any.
        streaming_file: patterns of weight streaming; the shipped ones without.
        rules_file: rules of findings; the shipped ones without.
        ncu_file: a report of Nsight Compute for the roofline.
    """

    parts: frozenset[str]
    largest: int = 10
    naive: bool = False
    step_marker: str | None = None
    step_range: str | None = None
    patterns: tuple[str, ...] = ()
    streaming_file: Path | None = None
    rules_file: Path | None = None
    ncu_file: Path | None = None


@dataclass
class Analysis:
    """What came of it.

    Attributes:
        figures: the figures of `harness.analyze.figures`, always there.
        tables: by name, in the order in which they are shown.
        unshown: more tables, for files and JSON only.
        findings: of the rules, and those of streaming under their own name.
        notes: by part, sentences that belong to it.
        unanswered: by part, why the Trace does not answer it.
    """

    figures: Mapping[str, Any]
    tables: dict[str, pa.Table] = field(default_factory=dict)
    unshown: dict[str, pa.Table] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unanswered: dict[str, str] = field(default_factory=dict)


def analyse(trace: Trace, wanted: Wanted) -> Analysis:
    """Make the parts that are wanted, in the order of `PARTS`.

    Raises:
        NoSignalError: the Trace has no kernel, or answers nothing of what is wanted.
        InputError, TraceFormatError: a file named in ``wanted`` cannot be used.
    """
    made = Analysis(figures(trace, top=wanted.largest))
    for name, part in PARTS.items():
        if name in wanted.parts:
            try:
                part(trace, wanted, made)
            except NoSignalError as error:
                made.unanswered[name] = str(error)
                if len(made.unanswered) == len(wanted.parts):
                    raise
    return made


def _kernels(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    made.tables["kernel_summary"] = kernel_summary(trace)


def _gaps(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    found = gaps(trace, naive=wanted.naive, largest=wanted.largest)
    made.notes["idle_by_device"] = found.notes
    several = len(found.devices) > 1
    rows = [asdict(one) for one in ((found.overall,) if several else ()) + found.devices]
    made.tables["idle_by_device"] = pa.Table.from_pylist(rows)
    made.tables["gap_buckets"] = found.buckets
    if found.streams.num_rows > 1:
        made.tables["gaps_by_stream"] = found.streams
    made.tables["large_gaps"] = found.large


def _steps(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    period = wanted.step_marker is None and wanted.step_range is None
    found = steps(trace, marker=wanted.step_marker, region=wanted.step_range, period=period)
    made.tables["phases"], made.tables["steps"] = found.phases, found.table
    made.notes["phases"] = (f"steps: {found.rule}", *found.notes)


def _ranges(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    made.tables["ranges"] = ranges(trace, wanted.patterns)
    made.unshown["nvtx_sum"] = range_summary(trace)
    made.unshown["nvtx_gpu_proj_sum"] = range_projection(trace)


def _overlap(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    made.tables["overlap"] = overlap(trace, wanted.patterns)


def _api(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    made.tables["api_summary"] = api_summary(trace)
    made.tables["hot_spots"] = hot_spots(trace)


def _memory(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    made.tables["memory_summary"] = memory_summary(trace)


def _launches(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    found = launches(trace)
    made.tables["launches_by_api"] = found.by_api
    made.tables["launches_by_kernel"] = found.by_kernel
    if found.unmatched:
        note = f"{found.unmatched} activities have no API call of their correlation id"
        made.notes["launches_by_api"] = (note,)


def _graphs(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    made.tables["graph_coverage"] = coverage(trace)


def _streaming(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    report = streaming(trace, wanted.streaming_file)
    made.tables["streaming_ranges"], made.tables["streaming_layers"] = report.roles, report.layers
    made.notes["streaming_layers"] = report.notes
    made.findings["streaming_findings"] = list(report.findings)


def _roofline(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    from harness.analyze.crossref import crossref
    from harness.analyze.roofline import roofline
    from harness.record.files.ncu import read_ncu

    assert wanted.ncu_file is not None
    report = read_ncu(wanted.ncu_file)
    found = roofline(report)
    made.tables["roofline"] = found.table
    made.notes["roofline"] = (f"bound by: {found.rule}", *found.notes)
    joined = crossref(trace, report)
    made.tables["roofline_in_trace"] = joined.matched
    made.unshown["roofline_only_trace"] = joined.only_trace
    made.unshown["roofline_only_ncu"] = joined.only_ncu
    made.notes["roofline_in_trace"] = (joined.in_words,)


def _findings(trace: Trace, wanted: Wanted, made: Analysis) -> None:
    made.findings["findings"] = findings(trace, wanted.rules_file)


PARTS: Mapping[str, Callable[[Trace, Wanted, Analysis], None]] = {
    "kernels": _kernels,
    "memory": _memory,
    "gaps": _gaps,
    "steps": _steps,
    "ranges": _ranges,
    "overlap": _overlap,
    "api": _api,
    "launches": _launches,
    "graphs": _graphs,
    "streaming": _streaming,
    "roofline": _roofline,
    "findings": _findings,
}
"""What can be asked for, in the order in which it is shown."""

OVERVIEW = frozenset({"kernels", "gaps", "findings"})
"""What is shown when nothing is asked for."""
