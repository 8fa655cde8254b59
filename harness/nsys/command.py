"""The command line of ``nsys``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analyze.processes import process_summary
from harness.errors import EXIT_OK, EXIT_UNDECIDED, InputError
from harness.nsys.plan import CAPTURE_RANGES, Plan, profile_command
from harness.nsys.server import Lines, check_url
from harness.nsys.session import Profiled, Request, profile
from harness.output import printed
from harness.record.files.nsys.program import find_nsys
from harness.report.text import plain
from harness.trace import write_trace

SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=SETTINGS)
def nsys() -> None:
    """Use NVIDIA's Nsight Systems for what one process cannot see of itself."""


@nsys.command(
    "serve-profile",
    context_settings={**SETTINGS, "allow_interspersed_args": False, "show_default": True},
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("serve"),
    help="Report, log and Trace are OUT.nsys-rep, OUT.log and OUT.parquet.",
)
@click.option("--ready", default="", help="URL that answers once the server is ready.")
@click.option("--ready-text", default="", help="Pattern of a line that the ready server prints.")
@click.option("--timeout", type=click.FloatRange(min=0), default=600.0, help="Seconds until ready.")
@click.option("--load", default="", help="Command that makes the ready server work.")
@click.option("--delay", type=click.FloatRange(min=0), help="Seconds before collection starts.")
@click.option("--duration", type=click.FloatRange(min=0), help="Seconds of collection.")
@click.option("--from-ready", is_flag=True, help="Collect only once the server is ready.")
@click.option("--capture-range", type=click.Choice(CAPTURE_RANGES), default="none")
@click.option("--nvtx-capture", default="", help="RANGE@DOMAIN for --capture-range nvtx.")
@click.option("--force", is_flag=True, help="Replace results that exist.")
@click.option("--print", "only_print", is_flag=True, help="Print the nsys command and stop.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND [ARGS]...")
def serve_profile(
    out: Path,
    ready: str,
    ready_text: str,
    timeout: float,
    load: str,
    delay: float | None,
    duration: float | None,
    from_ready: bool,
    capture_range: str,
    nvtx_capture: str,
    force: bool,
    only_print: bool,
    debug: bool,
    command: Sequence[str],
) -> int:
    """Profile a server and all processes that it starts; read every kernel into one Trace.

    harness nsys serve-profile --ready http://localhost:8000/health --load 'python load.py' --
    vllm serve MODEL -tp 8

    When the load has ended, or after --duration, collection is stopped, which ends the server.

    Exit code: 0; 2 wrong input or no nsys, 3 the server was not ready, the load failed, or no
    kernel was recorded.
    """
    del debug  # read by harness.cli
    if not command:
        raise InputError("there is no server to start", fix="pass it: serve-profile -- CMD ARGS")
    if from_ready and not (ready or ready_text):
        raise InputError("--from-ready without a sign of readiness", fix="add --ready URL")
    request = Request(
        check_url(ready) if ready else "",
        Lines(ready_text) if ready_text else None,
        timeout,
        _split(load),
    )
    session = f"harness-{os.getpid()}"
    plan = Plan(out.absolute(), session, delay, duration, from_ready, capture_range, nvtx_capture)
    if only_print:
        text = shlex.join(profile_command("nsys", plan, command))
        printed(partial(click.echo, text))
        return EXIT_OK
    target = out.with_name(out.name + ".parquet")
    _check_output(plan, target, force)
    program = find_nsys()
    _say(f"validator: {program}")
    done = profile(program, plan, command, request, _say)
    write_trace(done.trace, target)
    printed(partial(_print, done, target, Console()))
    return EXIT_UNDECIDED if done.load_code or done.trace.info.incomplete else EXIT_OK


def _split(load: str) -> list[str]:
    try:
        return shlex.split(load)
    except ValueError as error:
        raise InputError(
            f"--load {load!r} is no command ({error})", fix="mend the quotes"
        ) from error


def _check_output(plan: Plan, target: Path, force: bool) -> None:
    for path in (plan.report, target):
        if path.exists() and not force:
            raise InputError(
                f"{path} exists already", fix="name other results with --out, or add --force"
            )
    if not plan.output.parent.is_dir():
        raise InputError(f"there is no folder {plan.output.parent}", fix="make it first")


def _say(text: str) -> None:
    click.echo(plain(text), err=True)


_COLUMNS = (
    ("process", "process"),
    ("devices", "devices"),
    ("kernels", "kernels"),
    ("in graphs", "kernels_in_graphs"),
    ("copies", "copies"),
    ("kernel ms", "kernel_ns"),
    ("% of all", "kernel_pct"),
)


def _print(done: Profiled, target: Path, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title, _ in _COLUMNS:
        table.add_column(title, justify="right")
    for row in process_summary(done.trace).to_pylist():
        table.add_row(*(Text(_cell(column, row[column])) for _, column in _COLUMNS))
    console.print(table)
    lines = [f"trace: {target}"]
    lines += [f"note: {note}" for note in done.notes]
    lines += [f"INCOMPLETE: {reason}" for reason in done.trace.info.incomplete]
    if done.load_code:
        lines.append(f"the load ended with code {done.load_code}")
    for line in lines:
        console.print(Text(plain(line), overflow="fold"))


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if column == "devices":
        return ",".join(map(str, value)) or "-"
    if column == "kernel_ns":
        return f"{value / 1e6:.3f}"
    return f"{value:.1f}" if column == "kernel_pct" else str(value)
