"""The command line of ``compare``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harness.align.known import read_known
from harness.align.model import Verdict
from harness.compare.cases import cases_of_options
from harness.compare.files import FilesRecorder
from harness.compare.files_command import FILE_PARAMETERS, asked, compare_given, of_files
from harness.compare.options import Options
from harness.compare.output import case_folder, finished, prepare_folder, write_case
from harness.compare.pipeline import Compared, Job, run
from harness.compare.progress import progress
from harness.compare.run_options import equivalence_classes, of_a_run, required_checks
from harness.compare.tolerance import parse_tolerance
from harness.compare.witness import find_validator
from harness.errors import InputError
from harness.measure.cache import check_cache
from harness.output import printed
from harness.record.choose import choose_recorder
from harness.report.evidence import evidence, evidence_json
from harness.report.terminal import print_alignment, print_summary
from ops.registry import choose_framework, operator

Document = dict[str, Any]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@of_a_run
@of_files
@click.option("--out", type=click.Path(path_type=Path), help="Folder for evidence and Traces.")
@click.option("--resume", is_flag=True, help="Keep the cases that --out already holds.")
@click.option("--json", "as_json", is_flag=True, help="Print the evidence as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def compare(
    op_name: str | None,
    cases: Path | None,
    framework: str,
    recorder: str,
    tolerance: str,
    instances: int | None,
    cache: str,
    time_budget: float,
    require: Sequence[str],
    equivalent: Sequence[str],
    validate: str | None,
    known: Path | None,
    submodules: bool,
    out: Path | None,
    resume: bool,
    as_json: bool,
    debug: bool,
    **sizes: Any,
) -> int:
    """Compare a mock operator with the same submodule of the real decoder layer.

    With --from and --reference nothing is run: two recordings are compared.

    Exit code: 0 aligned, 1 diverged, 2 wrong input, 3 inconclusive, no-signal or invalid-capture.
    """
    del debug  # read by harness.cli
    files = {name: sizes.pop(name) for name in FILE_PARAMETERS}
    options = Options(
        "",
        FilesRecorder(),
        tolerance=parse_tolerance(tolerance),
        required=required_checks(require),
        equivalences=equivalence_classes(equivalent),
        instances=instances,
        cache=check_cache(cache),
        time_budget=time_budget,
        known=read_known(known) if known else (),
        submodules=submodules,
    )
    if asked(files):
        return compare_given(files, op_name, options, out, as_json)
    if op_name is None:
        raise InputError("no operator was named", fix="give --op, or --from and --reference")
    jobs, why = _jobs(op_name, framework, cases, sizes)
    options = _on_this_machine(replace(options, framework_reason=why), recorder, bool(validate))
    if out:
        prepare_folder(out)
    elif resume:
        raise InputError("--resume has nothing to look at", fix="name the folder with --out")
    with progress() as stage:
        results = _run(jobs, replace(options, stage=stage), out, resume, as_json)
    if as_json:
        printed(partial(click.echo, evidence_json(results)))
    elif len(results) > 1 or resume:
        printed(partial(print_summary, results, Console()))
    return Verdict.worst(Verdict(result["verdict"]) for result in results).exit_code


def _jobs(
    op_name: str, framework: str, cases: Path | None, sizes: dict[str, Any]
) -> tuple[list[Job], str]:
    """One job per case that was asked for, and why the framework is the one that it is."""
    op = operator(op_name)
    wanted = cases_of_options(op, framework, cases, sizes)
    adapter, why = choose_framework(op, framework)
    return [Job(op, replace(case, framework=adapter.name), adapter) for case in wanted], why


def _on_this_machine(options: Options, recorder: str, validate: bool) -> Options:
    """The options with the device, the recorder and the validator that there are here."""
    device = _device()
    chosen, reason = choose_recorder(recorder, device)
    validator = find_validator(device, chosen.name) if validate else None
    return replace(
        options, device=device, recorder=chosen, recorder_reason=reason, validator=validator
    )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "meta"


def _run(
    jobs: list[Job], options: Options, out: Path | None, resume: bool, as_json: bool
) -> list[Document]:
    """Evidence of every case in order; each is shown and written as soon as it is known."""
    several = len(jobs) > 1
    kept: dict[str, Document] = {}
    for job in jobs if out and resume else ():
        assert out is not None
        found = finished(case_folder(out, job.case, several), job.case, options)
        if found:
            kept[job.case.slug] = found
            click.echo(f"resumed: {job.case} is finished in {out}", err=True)
    todo = [job for job in jobs if job.case.slug not in kept]
    made: dict[str, Document] = {}
    # run is a generator: closing it, whatever happens here, frees what it has built
    with closing(run(todo, options)) as comparisons:
        for job, compared in zip(todo, _shown(comparisons, as_json), strict=True):
            made[job.case.slug] = evidence(compared.alignment)
            if out:
                write_case(compared, case_folder(out, job.case, several))
    return [(kept | made)[job.case.slug] for job in jobs]


def _shown(comparisons: Iterator[Compared], as_json: bool) -> Iterator[Compared]:
    for compared in comparisons:
        if not as_json:
            printed(partial(print_alignment, compared.alignment, Console()))
        yield compared
