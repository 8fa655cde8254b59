"""``compare --from FILE --reference FILE``: the command line of a comparison that runs nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from rich.console import Console

from harness.align.model import Verdict
from harness.compare.files import compare_files
from harness.compare.options import Options
from harness.compare.output import prepare_folder, write_case
from harness.errors import InputError
from harness.locate.find import MINIMUM_SCORE, Request
from harness.output import printed
from harness.report.evidence import evidence, evidence_json
from harness.report.terminal import print_alignment
from ops.registry import operator

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)
OF_FILES = (
    click.option("--from", "from_file", type=_FILE, help="Run nothing: the mock is this Trace."),
    click.option("--reference", type=_FILE, help="With --from: the other side, or a whole model."),
    click.option("--region", help="With --from: regions of the operator in a whole model."),
    click.option("--pattern", multiple=True, help="With --from: regex of its kernels; repeatable."),
    click.option(
        "--score",
        type=click.FloatRange(min=0, max=1, min_open=True),
        default=MINIMUM_SCORE,
        help="With --from: below it a whole model does not hold the operator.",
    ),
)
"""Options of ``compare`` that belong to files."""

FILE_PARAMETERS = ("from_file", "reference", "region", "pattern", "score")

TOGETHER = frozenset(
    {
        "op_name",
        "tolerance",
        "require",
        "equivalent",
        "known",
        "out",
        "as_json",
        "debug",
        *FILE_PARAMETERS,
    }
)
"""Parameters that mean something without a run."""


def of_files(command: Command) -> Command:
    """Add `OF_FILES` to a command."""
    for option in reversed(OF_FILES):
        command = option(command)
    return command


def asked(given: dict[str, Any]) -> bool:
    """Whether files are to be compared; ``given`` are the values of `OF_FILES`.

    Raises:
        InputError: an option is given that needs a run, or that needs files.
    """
    typed = {name for name in click.get_current_context().params if _typed(name)}
    if given["from_file"] is None and given["reference"] is None:
        for name in ("region", "pattern", "score"):
            if name in typed:
                raise InputError(f"--{name} is of --from", fix="name two files, or drop it")
        return False
    for name, other in (("from_file", "--from"), ("reference", "--reference")):
        if given[name] is None:
            raise InputError("two files are compared, and one was named", fix=f"add {other}")
    of_a_run = sorted(typed - TOGETHER)
    if of_a_run:
        option = of_a_run[0].replace("_", "-")
        raise InputError(f"--{option} is of a run, and --from runs nothing", fix="drop one of them")
    return True


def _typed(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE


def compare_given(
    given: dict[str, Any], op_name: str | None, options: Options, out: Path | None, as_json: bool
) -> int:
    """Compare the two files, show and write the result; returns the exit code."""
    mock, reference = given["from_file"], given["reference"]
    if out is not None:
        prepare_folder(out)
        if out.resolve() in (mock.parent.resolve(), reference.parent.resolve()):
            raise InputError(f"--out {out} holds the files to compare", fix="name another folder")
    op = operator(op_name) if op_name else None
    request = Request(
        patterns={pattern: pattern for pattern in given["pattern"]},
        region=given["region"],
        minimum=given["score"],
    )
    compared = compare_files(mock, reference, options, request, op)
    if out is not None:
        write_case(compared, out)
    if as_json:
        printed(partial(click.echo, evidence_json([evidence(compared.alignment)])))
    else:
        printed(partial(print_alignment, compared.alignment, Console()))
    return Verdict(compared.alignment.verdict).exit_code
