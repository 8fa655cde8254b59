"""The command line of ``record``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click
import pyarrow as pa
from rich.console import Console
from rich.text import Text

from harness.analyze import api_summary, csv_text, kernel_summary
from harness.errors import EXIT_OK, EXIT_UNDECIDED, HarnessError, InputError
from harness.output import printed
from harness.record.command_line import check_command, default_output
from harness.record.foreign import Ended, Wanted, run, why_lost
from harness.report.summaries import print_summary_table
from harness.report.text import plain
from harness.trace import Trace, read_trace
from harness.trace.schema import OUTSIDE

COUNTED = (("kernel", "kernels"), ("memcpy", "memcpys"), ("memset", "memsets"))


@click.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "allow_interspersed_args": False,  # what follows the command's name is the command's
    }
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The Trace, a Parquet file.  [default: SCRIPT.trace.parquet]",
)
@click.option("--force", is_flag=True, help="Replace an output that exists.")
@click.option("--api", is_flag=True, help="Record all CUDA API calls and sum them up as well.")
@click.option("--no-nvtx", is_flag=True, help="Leave out the script's NVTX ranges.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the summaries as CSV, as nsys does.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--recorder", default="cupti", hidden=True)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARGS]...")
def record(
    output: Path | None,
    force: bool,
    api: bool,
    no_nvtx: bool,
    as_csv: bool,
    debug: bool,
    recorder: str,
    command: Sequence[str],
) -> int:
    """Run a Python script unchanged and record every CUDA kernel that it launches.

    harness record -- python script.py ARGS

    Recording begins when torch initialises CUDA and ends with the script. Python processes that
    the script starts are recorded too, each into a file of its own with its process id in the name.
    The kernel summary is that of nsys stats --report cuda_gpu_kern_sum, --api adds cuda_api_sum;
    both are over all processes.

    Exit code: that of the command; where that is 0: 2 wrong input, 3 no Trace came, it is
    incomplete, or another profiler holds CUPTI.
    """
    del debug  # read by harness.cli
    if not command:
        raise InputError(
            "there is no command to record", fix="pass one: harness record -- python script.py"
        )
    check_command(command)
    target = output or default_output(command)
    _check_output(target, force)
    ended = run(command, Wanted(recorder, "all" if api else "launch", not no_nvtx), target)
    try:
        code = _show(ended, api, as_csv)
    except HarnessError as error:
        if ended.code == EXIT_OK:
            raise
        click.echo(f"error: {error}", err=True)
        return ended.code
    return ended.code or code


def _check_output(target: Path, force: bool) -> None:
    if target.is_dir():
        raise InputError(f"--output {target} is a folder", fix="name a file in it")
    if target.exists() and not force:
        raise InputError(
            f"{target} exists already", fix="name another file with --output, or add --force"
        )


def _show(ended: Ended, api: bool, as_csv: bool) -> int:
    """Print what came, and return the exit code that a command which ended well gets."""
    traces = [read_trace(one.path) for one in ended.traces if one.path]
    console = Console(stderr=as_csv)
    printed(partial(_print_files, ended, traces, console))
    if traces:
        summaries: list[tuple[str, Callable[[Trace], pa.Table]]] = [("kernel", kernel_summary)]
        if api:
            summaries.append(("API call", api_summary))
        tables = [(kind, summary(_together(traces))) for kind, summary in summaries]
        for number, (kind, table) in enumerate(tables):
            if as_csv:
                text = "\n" * bool(number) + csv_text(table)
                printed(partial(click.echo, text, nl=False))
            else:
                printed(partial(_print_table, kind, table, console))
    return _complain(ended, traces)


def _together(traces: Sequence[Trace]) -> Trace:
    """Activities and calls of all processes, as one report of nsys has them."""
    first, *others = traces
    if not others:
        return first
    return Trace(
        activities=pa.concat_tables([one.activities for one in traces]),
        info=first.info,
        calls=pa.concat_tables([one.calls for one in traces]),
    )


def _print_files(ended: Ended, traces: Sequence[Trace], console: Console) -> None:
    for one, trace in zip(ended.traces, traces, strict=True):
        _line(console, "")
        of = f" of process {one.process}" if len(traces) > 1 else ""
        _line(console, f"recorder: {trace.info.source}{of}, from CUDA's initialisation to the end")
        _line(console, f"trace: {one.path} ({_contents(trace)})")
        for note in one.notes:
            _line(console, f"note: {note}")


def _contents(trace: Trace) -> str:
    counts = [
        f"{len(found)} {name if len(found) != 1 else kind}"
        for kind, name in COUNTED
        if len(found := trace.of_kind(kind)) or kind == "kernel"
    ]
    regions = sum(one != OUTSIDE for one in trace.regions["id"].to_pylist())
    counts.append(f"{regions} region{'s' if regions != 1 else ''}")
    counts.append("complete" if trace.info.complete else "INCOMPLETE")
    return ", ".join(counts)


def _print_table(kind: str, table: pa.Table, console: Console) -> None:
    _line(console, "")
    if table.num_rows:
        print_summary_table(table, kind, console)
    else:
        _line(console, f"no {kind} was recorded")


def _line(console: Console, text: str) -> None:
    console.print(Text(plain(text), overflow="fold"))


def _complain(ended: Ended, traces: Sequence[Trace]) -> int:
    """Say on standard error what is missing; the exit code for it."""
    code = EXIT_OK
    for one, trace in zip(ended.traces, traces, strict=True):
        for reason in trace.info.incomplete:
            click.echo(f"incomplete: {one.path}: {plain(reason)}", err=True)
            code = EXIT_UNDECIDED
    for one in ended.failed:
        click.echo(f"error: no Trace of process {one.process}: {why_lost(one)}", err=True)
        code = max(code, one.exit_code)
    if not ended.traces and not ended.failed:
        click.echo(f"error: no Trace came: {ended.why_nothing}", err=True)
        code = EXIT_UNDECIDED
    return code
