"""Reports of Nsight Systems (``.nsys-rep``), exported by the installed ``nsys``."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from harness.errors import HarnessError, InputError, TraceFormatError
from harness.record.files.nsys.program import find_nsys, run_nsys
from harness.trace import Trace

SUFFIXES = (".nsys-rep", ".qdrep")
"""Of reports since and before release 2021.5."""

EXPORT_TIMEOUT_S = 1800.0
"""A report of gigabytes takes minutes; one that takes half an hour is stuck."""


def read_nsys_rep(path: str | Path) -> Trace:
    """Read a report through ``nsys export --type sqlite`` into a temporary folder.

    Raises:
        InputError: there is no such file, or ``nsys`` fails on it (an older ``nsys`` cannot read
            reports of a newer one).
        MissingPackageError: there is no ``nsys``.
        TraceFormatError, NoSignalError: as `harness.record.files.nsys.read_nsys_sqlite`.
    """
    from harness.record.files.nsys import read_nsys_sqlite

    source = Path(path)
    if not source.is_file():
        raise InputError(f"there is no file {source}", fix="check the path")
    program = find_nsys()
    with tempfile.TemporaryDirectory(prefix="harness-nsys-") as folder:
        target = Path(folder) / "report.sqlite"
        wanted = ["export", "--type", "sqlite", "--force-overwrite", "true"]
        wanted += ["--output", str(target), str(source.absolute())]
        run_nsys(program, wanted, EXPORT_TIMEOUT_S)
        if not target.is_file():
            raise TraceFormatError(
                f"{program} exported nothing of {source}",
                fix="check that the report was written completely",
            )
        try:
            trace = read_nsys_sqlite(target)
        except HarnessError as error:
            raise _of_report(error, target, source) from error
    info = replace(trace.info, chosen_because=f"read from {source.name}")
    notes = (f"exported from {source.name} by {program}", *info.notes)
    versions = {**info.versions, "nsys export": program.version}
    return replace(trace, info=replace(info, notes=notes, versions=versions))


def _of_report(error: HarnessError, export: Path, source: Path) -> HarnessError:
    """The error about a report's export as one about the report: the export is gone by then."""
    what = error.what.replace(str(export), str(source))
    if str(source) not in what:
        what = f"{source}: {what}"
    return type(error)(what, fix=error.fix)
