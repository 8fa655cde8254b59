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
from harness.compare.tolerance import parse_tolerance
from harness.compare.witness import find_validator
from harness.errors import InputError
from harness.measure.cache import CACHES, check_cache
from harness.measure.paired import TIME_BUDGET_S
from harness.names import SHIPPED, EquivalenceClass
from harness.output import printed
from harness.record.choose import choose_recorder, recorder_names
from harness.report.evidence import evidence, evidence_json
from harness.report.terminal import print_alignment, print_summary
from ops.case import DTYPES, PHASES
from ops.registry import choose_framework, framework_names, operator

Document = dict[str, Any]
EQUIVALENCES = {known.name: known for known in SHIPPED}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--op", "op_name", help="Operator of the catalogue, such as dsa.")
@click.option("--tp", default="1", help="Tensor-parallel size (local heads); a list: 1,8.")
@click.option("--phase", default="context", help=f"{' or '.join(PHASES)}; or both, by a comma.")
@click.option("--batch-size", default="1", help="Requests; a list: 1,8.")
@click.option("--seq-len", default=None, help="Context: new tokens per request [4096]; a list.")
@click.option("--kv-len", default=None, help="KV length per request, new tokens included; a list.")
@click.option("--dtype", default="bfloat16", help=f"One of {', '.join(DTYPES)}.")
@click.option("--cases", type=click.Path(path_type=Path), help="TOML or JSON file of cases.")
@click.option("--framework", default="auto", help=f"auto or {', '.join(framework_names())}.")
@click.option("--recorder", default="auto", help=f"auto or {', '.join(recorder_names())}.")
@click.option("--tolerance", default="1%", help="Of the latency ratio: 1% or 0.01.")
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    default=None,
    help="Of each side that are timed, each in memory of its own [2, and more if needed].",
)
@click.option(
    "--cache",
    type=click.Choice(CACHES),
    default="warm",
    help="What the L2 holds when a timed call begins: warm, its own data; cold, none of it.",
)
@click.option(
    "--time-budget",
    type=click.FloatRange(min=0, min_open=True),
    default=TIME_BUDGET_S,
    help="Seconds of sampling per case after which the latency stays undecided.",
)
@click.option("--require", multiple=True, help="A check that may not be skipped; repeatable.")
@click.option(
    "--equivalent",
    multiple=True,
    help=f"Names that count as one; repeatable: {', '.join(EQUIVALENCES)}.",
)
@click.option(
    "--validate",
    type=click.Choice(("nsys",)),
    help="Run each case under nsys as well, in a process of its own, and compare the lists.",
)
@click.option(
    "--known",
    type=click.Path(path_type=Path),
    help="TOML file of declared differences, each with a reason and an end.",
)
@click.option("--submodules", is_flag=True, help="Compare what named submodules return, too.")
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
    share = parse_tolerance(tolerance)
    required, equated = _required(require), _equivalences(equivalent)
    declared = read_known(known) if known else ()
    files = {name: sizes.pop(name) for name in FILE_PARAMETERS}
    if asked(files):
        judged = Options("", FilesRecorder(), "", "", share, required, equated, known=declared)
        return compare_given(files, op_name, judged, out, as_json)
    if op_name is None:
        raise InputError("no operator was named", fix="give --op, or --from and --reference")
    op = operator(op_name)
    wanted = cases_of_options(op, framework, cases, sizes)
    adapter, why = choose_framework(op, framework)
    jobs = [Job(op, replace(case, framework=adapter.name), adapter) for case in wanted]
    device = _device()
    chosen, reason = choose_recorder(recorder, device)
    validator = find_validator(device, chosen.name) if validate else None
    if out:
        prepare_folder(out)
    elif resume:
        raise InputError("--resume has nothing to look at", fix="name the folder with --out")
    with progress() as stage:
        options = Options(
            device,
            chosen,
            reason,
            why,
            share,
            required,
            equated,
            instances=instances,
            cache=check_cache(cache),
            time_budget=time_budget,
            validator=validator,
            known=declared,
            submodules=submodules,
            stage=stage,
        )
        results = _run(jobs, options, out, resume, as_json)
    if as_json:
        printed(partial(click.echo, evidence_json(results)))
    elif len(results) > 1 or resume:
        printed(partial(print_summary, results, Console()))
    return Verdict.worst(Verdict(result["verdict"]) for result in results).exit_code


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "meta"


def _required(names: Sequence[str]) -> frozenset[str]:
    from harness.align.checks import CHECKS

    for name in names:
        if name not in CHECKS:
            raise InputError(f"--require {name}: no such check", fix=f"use {', '.join(CHECKS)}")
    return frozenset(names)


def _equivalences(names: Sequence[str]) -> tuple[EquivalenceClass, ...]:
    for name in names:
        if name not in EQUIVALENCES:
            known = ", ".join(EQUIVALENCES)
            raise InputError(f"--equivalent {name}: no such class", fix=f"use {known}")
    return tuple(EQUIVALENCES[name] for name in names)


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
