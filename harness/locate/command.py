"""The command line of ``locate``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from rich.console import Console

from harness.errors import EXIT_OK, EXIT_UNDECIDED, InputError
from harness.locate.find import AUTO, MINIMUM_SCORE, Request
from harness.locate.find import locate as find
from harness.locate.located import METHODS
from harness.output import printed
from harness.record.files import read_trace_file
from harness.report.located import located_json, print_located
from ops.registry import operator, operators
from ops.spec import OpSpec


def _path(_: click.Context, parameter: click.Parameter, text: str | None) -> Path | None:
    """The path of a file that is to be read."""
    if text is None:
        return None
    if not text:
        raise InputError(
            f"no file was named ({parameter.human_readable_name} is empty)",
            fix="name a Trace, an .sqlite, .nsys-rep or .json file",
        )
    if Path(text).is_dir():
        raise InputError(f"{text} is a folder", fix="name a file in it")
    return Path(text)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("file", callback=_path)
@click.option(
    "--op", "op_name", help=f"Operator: its kernels and region: {', '.join(operators())}."
)
@click.option(
    "--mock", metavar="FILE", callback=_path, help="Trace of the operator alone, as mock.parquet."
)
@click.option("--region", help="Name of the regions around it; * stands for any text.")
@click.option("--pattern", multiple=True, help="Regular expression of its kernels; repeatable.")
@click.option("--by", type=click.Choice((AUTO, *METHODS)), default=AUTO, help="How to locate it.")
@click.option(
    "--score",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=MINIMUM_SCORE,
    help="1 - edits / launches of the mock, below which it is refused.",
)
@click.option("--steps", "step_marker", metavar="KERNEL", help="A step ends with this kernel.")
@click.option("--step-range", metavar="PATTERN", help="Steps are the ranges of this name.")
@click.option("--process", type=int, help="Only what the process of this id did.")
@click.option("--top", type=click.IntRange(min=1), default=70, help="Layers that are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with everything.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def locate(
    file: Path,
    op_name: str | None,
    mock: Path | None,
    region: str | None,
    pattern: tuple[str, ...],
    by: str,
    score: float,
    step_marker: str | None,
    step_range: str | None,
    process: int | None,
    top: int,
    as_json: bool,
    debug: bool,
) -> int:
    """Find an operator in the Trace of a whole model.

    FILE is a Trace (.parquet), an Nsight Systems export (.sqlite) or report (.nsys-rep), or a
    torch.profiler trace (.json, .json.gz). The operator is located by the regions around it, else
    by kernels that only it launches, else by the list of what --mock launches.

    Exit code: 0 found, 2 wrong input, 3 not found or below --score.
    """
    del debug  # read by harness.cli
    if step_marker and step_range:
        raise InputError("steps end with a kernel or are ranges", fix="drop one of the two")
    op = operator(op_name) if op_name else None
    model = read_trace_file(file, process=process)
    request = Request(
        mock=read_trace_file(mock) if mock else None,
        patterns=patterns_of(op, pattern),
        region=region,
        usual_region=f"*{op.submodule}" if op and op.submodule else None,
        by=by,
        minimum=score,
        step_marker=step_marker,
        step_range=step_range,
    )
    found = find(model, request)
    what = _what(op, mock, region, pattern)
    if as_json:
        printed(partial(click.echo, located_json(file, what, model, found)))
    else:
        printed(partial(print_located, file, what, found, Console(), most=top))
    return EXIT_OK if found.found else EXIT_UNDECIDED


def patterns_of(op: OpSpec | None, given: tuple[str, ...]) -> dict[str, str]:
    """The patterns that were given, else those of the operator."""
    if given or op is None:
        return {pattern: pattern for pattern in given}
    return dict(op.kernel_patterns)


def _what(
    op: OpSpec | None, mock: Path | None, region: str | None, pattern: tuple[str, ...]
) -> str:
    named = [
        op.name if op else "",
        f"mock {mock}" if mock else "",
        f"region {region}" if region else "",
        *(f"kernels /{one}/" for one in pattern),
    ]
    return ", ".join(part for part in named if part) or "nothing"
