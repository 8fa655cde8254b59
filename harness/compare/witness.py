"""``--validate nsys``: the same case again in a child process under Nsight Systems."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.align.witness import Witness
from harness.errors import EXIT_UNDECIDED, HarnessError, InputError, MissingDeviceError
from harness.nsys.group import end_group
from harness.nsys.plan import TRACING
from harness.programs import Program
from harness.record.files.nsys.program import find_nsys
from harness.record.files.nsys.rep import read_nsys_rep
from ops.case import Case

ROOT = Path(__file__).parent.parent.parent
CHILD = "harness.compare.witness_child"
TIMEOUT_S = 3600.0
"""Building a framework's model, loading its kernels and writing the report, all under nsys."""


def find_validator(device: str, recorder: str) -> Program:
    """The nsys to validate with; found before anything is built.

    Args:
        device: where the operator runs.
        recorder: name of the live one.

    Raises:
        MissingDeviceError: nothing runs on a GPU.
        InputError: the recorder gives no kernels.
        MissingPackageError: there is no nsys.
    """
    if device != "cuda":
        raise MissingDeviceError(
            f"--validate nsys needs an NVIDIA GPU, and there is none here (device {device})",
            fix="run on a machine with one, or leave --validate out",
        )
    if recorder == "dispatch":
        raise InputError(
            "the recorder dispatch records ATen calls, and nsys sees kernels",
            fix="use --recorder cupti, or leave --validate out",
        )
    return find_nsys()


def run_witness(case: Case, forwards: int, replays: int, program: Program) -> Witness:
    """Build a case in a child process under nsys, run it as the live recording does, read it.

    Args:
        case: with the framework that was chosen.
        forwards: recorded eagerly of each side.
        replays: recorded of each side's graph.
        program: nsys.

    Returns:
        What nsys saw, or why it saw nothing; never raises for what goes wrong in the child.
    """
    with tempfile.TemporaryDirectory(prefix="harness-witness-") as folder:
        try:
            return _run(Path(folder), case, {"forwards": forwards, "replays": replays}, program)
        except HarnessError as error:
            return Witness(str(program), problem=str(error))


def _run(folder: Path, case: Case, counts: dict[str, int], program: Program) -> Witness:
    request, status = folder / "request.json", folder / "status.json"
    asked = {"case": case.to_dict(), **counts, "status": str(status)}
    request.write_text(json.dumps(asked))
    report = folder / "witness"
    command = [program.path, "profile", *TRACING, f"--output={report}"]
    output = _call([*command, sys.executable, "-m", CHILD, str(request)], folder / "nsys.log")
    notes = _notes(status, output)
    found = report.with_name("witness.nsys-rep")
    if not found.exists():
        said = f"nsys wrote no report: {_last_line(output)}"
        raise WitnessError(said, fix="check nsys with: harness doctor")
    trace = read_nsys_rep(found)
    return Witness(str(program), trace, notes=notes)


def _notes(status: Path, output: str) -> tuple[str, ...]:
    """What the child says that it could not run.

    Raises:
        WitnessError: it did not come to its end, or says that it failed.
    """
    try:
        done = json.loads(status.read_text())
        said = done.get("error", "")
        notes = () if said else tuple(done["notes"])
    except FileNotFoundError:
        said, notes = _last_line(output), ()
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        said, notes = f"its status cannot be read ({error})", ()
    if said:
        raise WitnessError(f"the case did not run under nsys: {said}", fix="run it by hand")
    return notes


class WitnessError(HarnessError):
    """The case did not come to an end under nsys (exit code 3 where nobody handles it)."""

    exit_code = EXIT_UNDECIDED


def _call(command: list[str], log: Path) -> str:
    """What nsys and the child print; they are ended with all that they started, come what may."""
    search = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
            )
            try:
                process.wait(TIMEOUT_S)
            finally:
                end_group(process)
        return log.read_text(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WitnessError(
            f"nsys could not run the case ({error})", fix="run it by hand"
        ) from error


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
