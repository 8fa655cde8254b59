"""Reports of Nsight Compute (``.ncu-rep``), exported by the installed ``ncu``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.errors import TraceFormatError
from harness.programs import Program, find_program

SUFFIXES = (".ncu-rep", ".ncu-repz", ".nsight-cuprof-report")
MAGIC = b"NVR\0"
"""First bytes of a report file (Nsight Compute, Customization Guide, "Report File Format")."""

EXPORT_TIMEOUT_S = 600.0


def is_report(path: Path) -> bool:
    """Whether a file is a report and not a CSV, by its first bytes or its name."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError:
        return False  # whoever reads it says what is wrong
    return start == MAGIC or path.name.endswith(SUFFIXES)


def export_csv(path: Path) -> tuple[str, Program]:
    """The raw page of a report in base units, and the program that exported it.

    Raises:
        MissingPackageError, InputError: there is no ``ncu``; see `find_program`.
        TraceFormatError: ``ncu`` cannot read the file.
    """
    program = find_program("ncu")
    command = [program.path, "--import", str(path.absolute())]
    command += ["--csv", "--page", "raw", "--print-units", "base"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=EXPORT_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unreadable(path, program, str(error)) from error
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        said = (text + done.stderr.decode(errors="replace")).strip().splitlines()
        raise _unreadable(path, program, said[-1] if said else f"exit code {done.returncode}")
    return text, program


def _unreadable(path: Path, program: Program, said: str) -> TraceFormatError:
    return TraceFormatError(
        f"{program} cannot export {path}: {said}",
        fix="use an ncu at least as new as the one that wrote it, or export the CSV there",
    )
