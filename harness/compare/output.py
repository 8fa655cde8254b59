"""What ``--out`` writes, and what ``--resume`` finds there."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from harness.align.apply_known import EXPIRED
from harness.align.model import Status
from harness.compare.conclude import WITNESS, Compared
from harness.compare.options import Options
from harness.errors import HarnessError, InputError
from harness.report.environment import environment
from harness.report.evidence import verify_evidence, write_evidence
from harness.report.markdown import write_markdown
from harness.trace import write_trace
from ops.case import Case

SIDES = ("mock", "reference", "in layer")
EVIDENCE = "evidence.json"
WITNESS_FILE = "nsys_witness.parquet"


def prepare_folder(folder: Path) -> None:
    """Make the folder and prove that it can be written to, before hours are spent on a run.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to --out {folder} ({error.strerror})",
            fix="choose a folder that you may write to",
        ) from error


def case_folder(out: Path, case: Case, several: bool) -> Path:
    """Where the files of one case go: ``out`` itself, or a folder of its own when several."""
    return out / case.slug if several else out


def write_case(compared: Compared, folder: Path) -> None:
    """Write the Traces, report.md and evidence.json of one case.

    ``mock.parquet`` and ``reference.parquet`` are the lists that were compared: the graph replays
    where there are any, with the eager ones beside them as ``mock.eager.parquet``. What an earlier
    run left is removed first and the evidence is written last, so that a folder that has one is
    complete.
    """
    prepare_folder(folder)
    _remove_earlier(folder)
    for side in SIDES:
        eager = compared.traces.get(f"{side} eager")
        replay = compared.traces.get(f"{side} replay")
        stem = side.replace(" ", "_")
        if eager is not None:
            write_trace(eager, folder / f"{stem}{'.eager' if replay else ''}.parquet")
        if replay is not None:
            write_trace(replay, folder / f"{stem}.parquet")
    if WITNESS in compared.traces:
        write_trace(compared.traces[WITNESS], folder / WITNESS_FILE)
    write_markdown(compared.alignment, folder / "report.md")
    write_evidence(compared.alignment, folder / EVIDENCE)


def _remove_earlier(folder: Path) -> None:
    stems = [side.replace(" ", "_") for side in SIDES]
    names = [
        EVIDENCE,
        WITNESS_FILE,
        *(f"{stem}{mode}.parquet" for stem in stems for mode in ("", ".eager")),
    ]
    found = [folder / name for name in names if (folder / name).exists()]
    if found:
        click.echo(f"replacing the earlier results in {folder}", err=True)
    for path in found:
        path.unlink()


def finished(folder: Path, case: Case, options: Options) -> dict[str, Any] | None:
    """The evidence of an earlier run that answers the same question, if it is whole.

    The same case, tolerance, required checks, equivalences, recorder, versions, GPU and, where it
    was timed, cache state; anything else is another question, and the case is run again.
    """
    path = folder / EVIDENCE
    if not path.exists():
        return None
    try:
        found = verify_evidence(path)
    except HarnessError as error:
        click.echo(f"not resumed: {error}", err=True)
        return None
    here = environment(sys.argv)
    wanted = {
        "case": case.to_dict(),
        "tolerance": options.tolerance,
        "required": sorted(options.required),
        "equivalences": [known.name for known in options.equivalences],
        "recorder": options.recorder.name,
    }
    other = [name for name, value in wanted.items() if found.get(name) != value]
    latency: dict[str, Any] = next(
        (c["data"] for c in found["checks"] if c["name"] == "latency"), {}
    )
    other += ["cache state"] if latency.get("cache", options.cache) != options.cache else []
    other += ["nsys witness"] if options.validator and not _witnessed(found) else []
    other += [] if _declared(found) == _asked(options, case) else ["known differences"]
    other += ["submodules"] if options.submodules and not _inside(found) else []
    there = found.get("environment", {})
    other += [name for name in ("versions", "gpu") if there.get(name) != here.get(name)]
    if other:
        click.echo(f"not resumed: {case} has other {', '.join(other)} in {folder}", err=True)
        return None
    return found


def _declared(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """The declared differences of an earlier run, and which had expired."""
    return sorted(
        (
            *(one[field] for field in ("name", "check", "reason", "effect", "expires")),
            str(one["state"] == EXPIRED),
        )
        for one in found.get("known", ())
    )


def _asked(options: Options, case: Case) -> list[tuple[str, ...]]:
    """Those of this run, likewise."""
    today = datetime.now(UTC).date()
    mine = [one for one in options.known if one.concerns(case.to_dict())]
    return sorted(
        (
            one.name,
            one.concern,
            one.reason,
            one.effect,
            str(one.expires or ""),
            str(bool(one.ended(today))),
        )
        for one in mine
    )


def _inside(found: dict[str, Any]) -> bool:
    """Whether an earlier run compared submodules."""
    return any("submodules" in check["data"] for check in found["checks"])


def _witnessed(found: dict[str, Any]) -> bool:
    """Whether nsys was asked in an earlier run."""
    statuses = {check["name"]: check["status"] for check in found["checks"]}
    return bool(statuses.get(WITNESS, Status.SKIPPED) != Status.SKIPPED)
