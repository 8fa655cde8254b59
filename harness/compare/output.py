"""What ``--out`` writes, and what ``--resume`` finds there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from harness.compare.pipeline import Compared
from harness.errors import HarnessError, InputError
from harness.report.evidence import verify_evidence, write_evidence
from harness.report.markdown import write_markdown
from harness.trace import write_trace
from ops.case import Case


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
    """Write evidence.json, report.md and the Traces of one case.

    ``mock.parquet`` and ``reference.parquet`` are the lists that were compared: the graph replays
    where there are any, with the eager ones beside them as ``mock.eager.parquet``. The evidence is
    written last, so that a folder that has one is complete.
    """
    prepare_folder(folder)
    for side in ("mock", "reference", "in layer"):
        eager = compared.traces.get(f"{side} eager")
        replay = compared.traces.get(f"{side} replay")
        stem = side.replace(" ", "_")
        if eager is not None:
            write_trace(eager, folder / f"{stem}{'.eager' if replay else ''}.parquet")
        if replay is not None:
            write_trace(replay, folder / f"{stem}.parquet")
    write_markdown(compared.alignment, folder / "report.md")
    write_evidence(compared.alignment, folder / "evidence.json")


def finished(folder: Path, case: Case, tolerance: float) -> dict[str, Any] | None:
    """The evidence of an earlier run of the same case at the same tolerance, if it is whole."""
    path = folder / "evidence.json"
    if not path.exists():
        return None
    try:
        found = verify_evidence(path)
    except HarnessError:
        return None  # cut short or altered: the case is run again, which the caller says
    same = found.get("case") == case.to_dict() and found.get("tolerance") == tolerance
    return found if same else None
