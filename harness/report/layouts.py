"""Which columns of an analysis table the terminal shows, and what stands over and under it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How one table is shown; the CSV and JSON have every column.

    Attributes:
        title: over the table.
        columns: (column, heading), in order; those that the table lacks are left out.
        wide: more of them, for terminals of 120 columns and more.
        legend: under the table: what is counted, what shares are of.
        empty: what to say of a table without rows.
        whole: whether all rows are shown, however few were asked for.
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    wide: tuple[tuple[str, str], ...] = ()
    legend: str = ""
    empty: str = "none"
    whole: bool = False


LAYOUTS = {
    "idle_by_device": Layout(
        "idle time",
        (
            ("device", "device"),
            ("process", "process"),
            ("kernels", "kernels"),
            ("wall_ns", "wall"),
            ("idle_union_ns", "idle"),
            ("idle_union_with_copies_ns", "idle with copies"),
            ("gap_naive_ns", "naive gap"),
        ),
        (("total_kernel_ns", "sum of kernels"), ("wall_with_copies_ns", "wall with copies")),
        "idle: no kernel runs; with copies: no kernel, copy, fill or whole graph; device all: on "
        "none of them",
        whole=True,
    ),
    "gap_buckets": Layout(
        "gaps by length",
        (
            ("device", "device"),
            ("process", "process"),
            ("gap", "gap"),
            ("gaps", "gaps"),
            ("idle_ns", "idle"),
            ("share_of_idle_union", "of idle"),
        ),
        whole=True,
    ),
    "gaps_by_stream": Layout(
        "streams",
        (
            ("device", "device"),
            ("stream", "stream"),
            ("kernels", "kernels"),
            ("wall_ns", "wall"),
            ("busy_union_ns", "busy"),
            ("idle_union_ns", "idle"),
        ),
        (("process", "process"), ("total_kernel_ns", "sum of kernels")),
    ),
    "phases": Layout(
        "steps by phase",
        (
            ("device", "device"),
            ("phase", "phase"),
            ("steps", "steps"),
            ("steady", "steady"),
            ("kernels_median", "kernels"),
            ("wall_ns_median", "wall"),
            ("utilisation", "busy"),
        ),
        (
            ("process", "process"),
            ("warm_up", "warm-up"),
            ("kernel_ns_median", "sum of kernels"),
            ("wall_ns_min", "min wall"),
            ("wall_ns_max", "max wall"),
        ),
        "medians of the steady steps; busy: share of their wall time in which a kernel runs",
    ),
    "steps": Layout(
        "steps",
        (
            ("device", "device"),
            ("step", "step"),
            ("phase", "phase"),
            ("state", "state"),
            ("kernels", "kernels"),
            ("kernel_ns", "sum"),
            ("wall_ns", "wall"),
            ("utilisation", "busy"),
        ),
        (("process", "process"), ("name", "range"), ("gap_before_ns", "gap before")),
    ),
    "ranges": Layout(
        "ranges",
        (
            ("range", "range"),
            ("instances", "n"),
            ("host_total_ns", "host"),
            ("projected_total_ns", "on GPU"),
            ("projected_median_ns", "median"),
            ("kernels", "kernels"),
            ("kernel_ns", "sum"),
        ),
        (
            ("projected_min_ns", "min"),
            ("projected_max_ns", "max"),
            ("share_of_kernel_time", "of kernel time"),
        ),
        "on GPU: from the first operation launched in the range to the end of the last; sum: of "
        "the durations of its kernels",
        "no range has such a name",
    ),
    "overlap": Layout(
        "overlap with compute",
        (
            ("range", "range"),
            ("device", "device"),
            ("process", "process"),
            ("against", "against"),
            ("against_ns", "time"),
            ("against_overlapped_ns", "hidden"),
            ("overlapped_share_of_against", "of time"),
        ),
        (
            ("compute_ns", "compute"),
            ("compute_overlapped_ns", "meanwhile"),
            ("overlapped_share_of_compute", "of compute"),
        ),
        "hidden: while any kernel but NCCL's ran on the device; of time: hidden / time; ranges: "
        "what was launched in them; range all: everything",
        "the Trace has no copies and no NCCL kernels",
    ),
    "hot_spots": Layout(
        "API calls that make the host wait",
        (
            ("name", "call"),
            ("calls", "calls"),
            ("total_ns", "total"),
            ("share_of_host_span", "of host span"),
            ("median_ns", "median"),
            ("max_ns", "max"),
        ),
        (("class", "class"), ("union_ns", "union")),
        "of host span: time in which a thread is in the call / first to last API call",
    ),
    "launches_by_api": Layout(
        "launches by API call",
        (
            ("name", "call"),
            ("calls", "calls"),
            ("call_median_ns", "call takes"),
            ("to_start_median_ns", "to start"),
            ("queue_median_ns", "queued"),
            ("on_idle_stream_share_of_calls", "on idle stream"),
        ),
        (("call_total_ns", "calls' sum"), ("in_flight_median", "in flight")),
        "medians; to start: from the call's start to its first activity's; queued: from the "
        "call's end; on idle stream: share of the calls that came to a stream that had run dry",
        "no API call could be matched with what it launched",
    ),
    "launches_by_kernel": Layout(
        "launches by kernel (without graphs)",
        (
            ("name", "kernel"),
            ("calls", "calls"),
            ("call_median_ns", "call takes"),
            ("queue_median_ns", "queued"),
            ("kernel_median_ns", "kernel takes"),
            ("on_idle_stream_share_of_calls", "on idle stream"),
        ),
        (("to_start_median_ns", "to start"), ("in_flight_median", "in flight")),
        "",
        "no kernel was launched by a call of its own",
    ),
    "graph_coverage": Layout(
        "CUDA graphs",
        (
            ("device", "device"),
            ("process", "process"),
            ("kernels", "kernels"),
            ("kernels_in_graphs", "in graphs"),
            ("graph_share_of_kernels", "of kernels"),
            ("graph_share_of_kernel_ns", "of kernel time"),
            ("whole_graphs", "whole graphs"),
        ),
        (("whole_graph_ns", "time of those"), ("graph_share_of_kernel_and_graph_ns", "of both")),
        "whole graphs: launches that the source shows without their kernels",
    ),
    "streaming_ranges": Layout(
        "weight streaming: ranges",
        (
            ("pattern", "ranges"),
            ("ranges", "n"),
            ("copies", "copies"),
            ("bytes", "moved"),
            ("copy_ns", "copying"),
            ("overlapped_share_of_copy", "hidden"),
            ("bytes_per_s", "rate"),
        ),
        (("role", "role"), ("host_ns", "on the host"), ("kernels", "kernels")),
        "copying: union of what was launched in the ranges and those inside them; hidden: share "
        "of copying while the device computed",
        "no range matches a pattern",
    ),
    "streaming_layers": Layout(
        "weight streaming: ideal and actual time",
        (
            ("layer", "layer"),
            ("instances", "n"),
            ("compute_ns", "compute"),
            ("copy_ns", "copy"),
            ("ideal_ns", "ideal"),
            ("actual_ns", "actual"),
            ("ideal_share_of_actual", "ideal/actual"),
        ),
        (
            ("device", "device"),
            ("process", "process"),
            ("own_copy_ns", "own copies"),
            ("own_bytes", "own bytes"),
        ),
        "actual: from the end of the layer before to the end of this one; ideal: max(compute, "
        "copy) in that time, summed over n",
        "no layer launched a kernel",
    ),
    "located_phases": Layout(
        "by phase",
        (
            ("device", "device"),
            ("phase", "phase"),
            ("steps", "steps"),
            ("layers", "layers"),
            ("occurrences", "found"),
            ("score_min", "score"),
            ("busy_ns_median", "takes"),
            ("steps_share_of_median", "over steps"),
        ),
        (
            ("process", "process"),
            ("steady", "steady"),
            ("launches_median", "launches"),
            ("busy_ns_min", "min"),
            ("busy_ns_max", "max"),
            ("layers_share_of_median", "over layers"),
        ),
        "score: the lowest; takes: median of the time in which one of its launches runs, in steady "
        "steps where there are any; over steps, layers: (max - min) / median; steps -: in no step",
        whole=True,
    ),
    "located_layers": Layout(
        "by layer",
        (
            ("device", "device"),
            ("phase", "phase"),
            ("layer", "layer"),
            ("position_median", "position"),
            ("occurrences", "found"),
            ("score_min", "score"),
            ("busy_ns_median", "takes"),
            ("spread_share_of_median", "spread"),
        ),
        (
            ("process", "process"),
            ("steady", "steady"),
            ("launches_median", "launches"),
            ("busy_ns_min", "min"),
            ("busy_ns_max", "max"),
        ),
        "position: launches of the step before its first; spread: (max - min) / median over steps",
        "no occurrence is in a step",
    ),
    "roofline": Layout(
        "roofline (Nsight Compute)",
        (
            ("name", "kernel"),
            ("duration_ns", "takes"),
            ("dram_bytes_per_s", "DRAM"),
            ("flop_per_s", "compute"),
            ("intensity", "flop/byte"),
            ("bound_by", "bound by"),
        ),
        (("memory_pct", "memory %"), ("compute_pct", "compute %")),
    ),
    "roofline_in_trace": Layout(
        "the same kernels in the Trace",
        (
            ("name", "kernel"),
            ("launches", "launches"),
            ("total_ns", "total"),
            ("median_ns", "median"),
            ("ncu_median_ns", "under ncu"),
        ),
        (("names_in_trace", "names"),),
        "by name, grid and block",
        "no kernel of the report is in the Trace",
    ),
}
"""By name of the table; a table that is not here is shown with all its columns."""
