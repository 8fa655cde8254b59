"""The command line of ``nsys``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.text import Text

from harness.analyze.processes import process_summary
from harness.errors import EXIT_OK, EXIT_UNDECIDED, InputError
from harness.nsys.plan import CAPTURE_RANGES, Plan, profile_command
from harness.nsys.server import Lines, check_url
from harness.nsys.session import Profiled, Request, profile
from harness.output import printed
from harness.record.files.nsys.program import find_nsys
from harness.report.figure_table import print_figures
from harness.report.text import UNKNOWN, plain
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

    When the load has ended, after --duration or when the capture range closes, collection is
    stopped, which ends the server.

    Exit code: 0; 2 wrong input or no nsys, 3 the server was not ready, the load failed, or no
    kernel was recorded.
    """
    del debug  # read by harness.cli
    if not command:
        raise InputError("there is no server to start", fix="pass it: serve-profile -- CMD ARGS")
    request = Request(
        check_url(ready) if ready else "",
        Lines(ready_text) if ready_text else None,
        timeout,
        _split(load),
    )
    session = f"harness-{os.getpid()}"
    plan = Plan(
        out.absolute(),
        session,
        delay,
        duration,
        from_ready,
        capture_range,
        nvtx_capture,
        capture_range_end="stop" if request.load else "stop-shutdown",
    )
    _check_order(plan, request)
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


def _check_order(plan: Plan, request: Request) -> None:
    """Refuse what would run before the server is up, or stop it before it has worked."""
    for option, given in (("--from-ready", plan.from_ready), ("--load", bool(request.load))):
        if given and not request.waits:
            raise InputError(
                f"{option} without a sign of readiness",
                fix="add --ready URL or --ready-text PATTERN",
            )
    ends = request.load or plan.duration is not None or plan.capture_range != "none"
    if request.waits and not ends:
        raise InputError(
            "nothing is to happen once the server is ready, so it would be stopped at once",
            fix="add --load COMMAND, --duration SECONDS or --capture-range",
        )


def _check_output(plan: Plan, target: Path, force: bool) -> None:
    for path in (plan.report, plan.log, target):
        if path.exists() and not force:
            raise InputError(
                f"{path} exists already", fix="name other results with --out, or add --force"
            )
    if not plan.output.parent.is_dir():
        raise InputError(f"there is no folder {plan.output.parent}", fix="make it first")


def _say(text: str) -> None:
    click.echo(plain(text), err=True)


_SHOWN = {
    "process": "process",
    "devices": "devices",
    "kernels": "kernels",
    "kernels_in_graphs": "in_graphs",
    "copies": "copies",
    "kernel_ns": "kernel_time_ns",
    "share_of_kernel_time": "share_of_kernel_time",
}
"""Columns of `process_summary` that the terminal shows, under which name."""


def _print(done: Profiled, target: Path, console: Console) -> None:
    table = _shown(process_summary(done.trace))
    print_figures("processes", table, console, table.num_rows)
    lines = [f"trace: {target}"]
    lines += [f"note: {note}" for note in done.notes]
    lines += [f"INCOMPLETE: {reason}" for reason in done.trace.info.incomplete]
    if done.load_code:
        lines.append(f"the load ended with code {done.load_code}")
    for line in lines:
        console.print(Text(plain(line), overflow="fold"))


def _shown(table: pa.Table) -> pa.Table:
    """The summary with ids as text: they are no quantities."""
    devices = [", ".join(map(str, one)) or UNKNOWN for one in table["devices"].to_pylist()]
    texts = {"process": pc.cast(table["process"], pa.string()), "devices": pa.array(devices)}
    columns = {title: texts.get(name, table[name]) for name, title in _SHOWN.items()}
    return pa.table(columns)
