"""The installed ``nsys``: found, and asked to export or to sum up a report."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from harness.errors import HarnessError, InputError
from harness.programs import Program, find_program

SETUP_HINT = "the nsys inside Nsight Compute needs libdw1 and libelf1 (apt install libdw1 libelf1)"


def find_nsys() -> Program:
    """``nsys`` by the variable NSYS, PATH, the CUDA toolkit, Nsight Systems' folder, or the one
    that Nsight Compute brings along (``host/target-linux-x64``), in this order.

    Raises:
        InputError: NSYS names no program that answers.
        MissingPackageError: there is none.
    """
    return find_program("nsys")


def run_nsys(program: Program, arguments: Sequence[str], timeout: float) -> str:
    """Run a subcommand that ends by itself and return what it printed.

    Args:
        program: of `find_nsys`.
        arguments: passed as they are; no shell sees them.
        timeout: seconds.

    Raises:
        InputError: it fails, cannot be started or does not end.
    """
    try:
        done = subprocess.run(
            [program.path, *arguments],
            capture_output=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise failed(program, arguments[0], str(error)) from error
    text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    if done.returncode:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        said = lines[-1] if lines else f"exit code {done.returncode}"
        raise failed(program, arguments[0], said)
    return text


def failed(program: Program, what: str, said: str) -> HarnessError:
    """The error for a subcommand that did not do what it was asked for."""
    fix = "run it by hand to see all that it says"
    if "nsight-compute" in program.path and "lib" in said:
        fix = SETUP_HINT
    return InputError(f"{program}: nsys {what} failed: {said}", fix=fix)
