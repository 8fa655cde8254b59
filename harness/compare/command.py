"""The command line of ``compare``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harness.align.model import Verdict
from harness.compare.cases import cases_from_file, cases_of, whole_numbers
from harness.compare.options import Options
from harness.compare.output import case_folder, finished, prepare_folder, write_case
from harness.compare.pipeline import Compared, Job, run
from harness.compare.progress import progress
from harness.compare.tolerance import parse_tolerance
from harness.errors import InputError
from harness.record.choose import choose_recorder, recorder_names
from harness.report.evidence import evidence
from harness.report.terminal import print_alignment, print_summary
from ops.case import DTYPES, PHASES, Case
from ops.registry import choose_framework, framework_names, operator
from ops.spec import OpSpec


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--op", "op_name", required=True, help="Operator of the catalogue, such as dsa.")
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
@click.option("--require", multiple=True, help="A check that may not be skipped; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for evidence and Traces.")
@click.option("--resume", is_flag=True, help="Keep the cases that --out already holds.")
@click.option("--json", "as_json", is_flag=True, help="Print the evidence as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def compare(
    op_name: str,
    cases: Path | None,
    framework: str,
    recorder: str,
    tolerance: str,
    require: Sequence[str],
    out: Path | None,
    resume: bool,
    as_json: bool,
    debug: bool,
    **sizes: Any,
) -> int:
    """Compare a mock operator with the same submodule of the real decoder layer.

    Exit code: 0 aligned, 1 diverged, 2 wrong input, 3 inconclusive, no-signal or invalid-capture.
    """
    del debug  # read by harness.cli
    op = operator(op_name)
    share = parse_tolerance(tolerance)
    wanted = _cases(op, framework, cases, sizes)
    adapter, why = choose_framework(op, framework)
    jobs = [Job(op, case, adapter) for case in _named(wanted, adapter.name)]
    device = _device()
    chosen, reason = choose_recorder(recorder, device)
    if out:
        prepare_folder(out)
    elif resume:
        raise InputError("--resume has nothing to look at", fix="name the folder with --out")
    with progress(len(jobs), shown=not as_json) as stage:
        options = Options(device, chosen, reason, why, share, _required(require), stage=stage)
        results = _run(jobs, options, out, resume)
    _print(results, as_json)
    return Verdict.worst(Verdict(result["verdict"]) for result, _ in results).exit_code


def _cases(op: OpSpec, framework: str, file: Path | None, sizes: dict[str, Any]) -> list[Case]:
    numbers = {
        name: whole_numbers(sizes[name], f"--{name.replace('_', '-')}") if sizes[name] else None
        for name in ("tp", "batch_size", "seq_len", "kv_len")
    }
    phases = [part.strip() for part in sizes["phase"].split(",")]
    if file is None:
        made = cases_of(op.name, framework, phases, numbers, sizes["dtype"])
    else:
        for name, values in {**numbers, "phase": phases}.items():
            if values and len(values) > 1:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"{option} is a list beside --cases", fix="use one of the two")
        defaults: dict[str, Any] = {name: v[0] for name, v in numbers.items() if v}
        defaults |= {"phase": phases[0], "dtype": sizes["dtype"]}
        made = cases_from_file(file, op.name, framework, defaults)
    for case in made:
        op.local_heads(case.tp)
    return made


def _named(cases: list[Case], framework: str) -> list[Case]:
    from dataclasses import replace

    return [replace(case, framework=framework) for case in cases]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "meta"


def _required(names: Sequence[str]) -> frozenset[str]:
    from harness.align.checks import CHECKS

    for name in names:
        if name not in CHECKS:
            raise InputError(f"--require {name}: no such check", fix=f"use {', '.join(CHECKS)}")
    return frozenset(names)


def _run(
    jobs: list[Job], options: Options, out: Path | None, resume: bool
) -> list[tuple[dict[str, Any], Compared | None]]:
    """Evidence of every case in order, with the comparison where it was made now."""
    several = len(jobs) > 1
    kept: dict[str, dict[str, Any]] = {}
    for job in jobs if out and resume else ():
        assert out is not None
        found = finished(case_folder(out, job.case, several), job.case, options.tolerance)
        if found:
            kept[job.case.slug] = found
            click.echo(f"resumed: {job.case} is finished in {out}", err=True)
    todo = [job for job in jobs if job.case.slug not in kept]
    made: dict[str, Compared] = {}
    for job, compared in zip(todo, run(todo, options), strict=True):
        made[job.case.slug] = compared
        if out:
            folder = case_folder(out, job.case, several)
            if (folder / "evidence.json").exists():
                click.echo(f"replacing the earlier evidence in {folder}", err=True)
            write_case(compared, folder)
    return [
        (kept[slug], None) if slug in kept else (evidence(made[slug].alignment), made[slug])
        for slug in (job.case.slug for job in jobs)
    ]


def _print(results: list[tuple[dict[str, Any], Compared | None]], as_json: bool) -> None:
    if as_json:
        documents = [document for document, _ in results]
        whole: Any = documents[0] if len(documents) == 1 else {"results": documents}
        click.echo(json.dumps(whole, indent=2, allow_nan=False))
        return
    console = Console()
    for _, compared in results:
        if compared is not None:
            print_alignment(compared.alignment, console)
    if len(results) > 1:
        print_summary([document for document, _ in results], console)
