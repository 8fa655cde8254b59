"""The command line of ``analyze``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harness.analyze.analysis import OVERVIEW, PARTS, Wanted, analyse
from harness.errors import InputError
from harness.output import printed
from harness.record.files import read_trace_file
from harness.report.analysis import print_analysis
from harness.report.analysis_files import analysis_json, write_analysis

_FILE = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("file", type=_FILE)
@click.option("--process", type=int, help="Only what the process of this id did.")
@click.option("--kernels", is_flag=True, help="Kernels by name, as cuda_gpu_kern_sum of nsys.")
@click.option("--memory", is_flag=True, help="Copies and fills, as cuda_gpu_mem_time_sum.")
@click.option("--gaps", is_flag=True, help="Idle time: devices, buckets, streams, largest gaps.")
@click.option("--naive", is_flag=True, help="Add the naive gap to the gaps, to compare.")
@click.option(
    "--steps",
    "step_marker",
    is_flag=False,
    flag_value="",
    metavar="[KERNEL]",
    help="Steps that end with a kernel of this name (argmax, argmax%); without: by their period.",
)
@click.option("--step-range", metavar="PATTERN", help="Steps are the ranges of this name.")
@click.option(
    "--ranges",
    "patterns",
    multiple=True,
    is_flag=False,
    flag_value="",
    metavar="[PATTERN]",
    help="NVTX ranges by name, such as 'layer_*_attention'; without: all; repeatable.",
)
@click.option("--overlap", is_flag=True, help="Compute against copies and NCCL; see --ranges.")
@click.option("--api", is_flag=True, help="API calls, and those that make the host wait.")
@click.option("--launches", is_flag=True, help="Launch overhead and queueing.")
@click.option("--graphs", is_flag=True, help="How much was launched through CUDA graphs.")
@click.option("--streaming", is_flag=True, help="Weight streaming: prefetch, eviction, layers.")
@click.option("--patterns", "streaming_file", type=_FILE, help="Range names of --streaming, TOML.")
@click.option("--roofline", "ncu_file", type=_FILE, help="An ncu report or CSV of its kernels.")
@click.option("--findings", is_flag=True, help="What stands out, by rules.")
@click.option("--rules", "rules_file", type=_FILE, help="Rules of --findings, TOML.")
@click.option("--top", type=click.IntRange(min=1), default=15, help="Rows of a table, large gaps.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with everything.")
@click.option("--out", type=_FILE, help="Folder for the tables (CSV), figures and the Trace.")
@click.option("--perfetto", type=_FILE, help="Write the Trace for ui.perfetto.dev.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def analyze(
    file: Path,
    process: int | None,
    as_json: bool,
    out: Path | None,
    perfetto: Path | None,
    debug: bool,
    **asked: Any,
) -> int:
    """Say what a recording holds: nsys, torch.profiler, or a Trace of the harness.

    harness analyze FILE [OPTIONS]: FILE comes first; --steps and --ranges take what follows.

    FILE is an Nsight Systems export (.sqlite) or report (.nsys-rep), a torch.profiler trace (.json,
    .json.gz) or a Trace (.parquet). Without options: kernels by name, idle time and findings.

    Exit code: 0, 2 wrong input or a file that cannot be read, 3 it has no kernels, or answers
    nothing of what was asked.
    """
    del debug  # read by harness.cli
    trace = read_trace_file(file, process=process)
    made = analyse(trace, _wanted(asked))
    if out:
        write_analysis(file, trace, made, out)
    if perfetto:
        from harness.report.perfetto import write_perfetto

        write_perfetto(trace, perfetto)
    if as_json:
        printed(partial(click.echo, analysis_json(file, trace, made)))
    else:
        printed(partial(print_analysis, file, trace, made, Console(), most=asked["top"]))
    return 0


def _wanted(asked: dict[str, Any]) -> Wanted:
    parts = {name for name in PARTS if asked.get(name)}
    if asked["step_marker"] is not None or asked["step_range"]:
        parts.add("steps")
    if asked["patterns"]:
        parts.add("ranges")
    if asked["streaming_file"]:
        parts.add("streaming")
    if asked["rules_file"]:
        parts.add("findings")
    if asked["naive"]:
        parts.add("gaps")
    if asked["ncu_file"]:
        parts.add("roofline")
    if asked["step_marker"] is not None and asked["step_range"]:
        raise InputError(
            "steps end with a kernel or are ranges", fix="drop --steps or --step-range"
        )
    return Wanted(
        frozenset(parts) or OVERVIEW,
        largest=asked["top"],
        naive=asked["naive"],
        step_marker=asked["step_marker"] or None,
        step_range=asked["step_range"],
        patterns=tuple(filter(None, asked["patterns"])),
        streaming_file=asked["streaming_file"],
        rules_file=asked["rules_file"],
        ncu_file=asked["ncu_file"],
    )
