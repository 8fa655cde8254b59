"""NVIDIA's programs ``nsys`` and ``ncu``: where they may be, and the first that answers."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import InputError, MissingPackageError

TOOLS = {"nsys": "Nsight Systems", "ncu": "Nsight Compute"}
"""Program -> the product that it comes with."""

PLACES: Mapping[str, Sequence[str]] = {
    "nsys": (
        "/opt/nvidia/nsight-systems*/bin/nsys",
        "/opt/nvidia/nsight-systems*/*/bin/nsys",
        "/opt/nvidia/nsight-systems*/*/target-linux-*/nsys",
        "/opt/nvidia/nsight-compute*/*/host/*/nsys",
        "/opt/nvidia/nsight-compute*/host/*/nsys",
    ),
    "ncu": (
        "/opt/nvidia/nsight-compute*/ncu",
        "/opt/nvidia/nsight-compute*/*/ncu",
        "/opt/nvidia/nsight-compute*/*/target/linux-*/ncu",
    ),
}
"""Shell patterns of NVIDIA's own folders, beside the CUDA toolkit's ``bin``."""

VERSION = re.compile(r"[Vv]ersion:?\s+(\d+(?:\.\d+)+)")
VERSION_TIMEOUT_S = 20.0
"""For ``PROGRAM --version``: seconds on a cold network file system, not minutes."""

Which = Callable[[str], str | None]
Files = Callable[[str], list[str]]


@dataclass(frozen=True)
class Program:
    """A program that was found and answers.

    Attributes:
        name: ``nsys`` or ``ncu``.
        path: of the file that runs.
        version: as it says itself, such as ``2025.3.1.90``.
        found_by: ``the variable NSYS``, ``PATH`` or ``an NVIDIA folder``.
    """

    name: str
    path: str
    version: str
    found_by: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.path}, by {self.found_by})"


def files_like(pattern: str) -> list[str]:
    """Executable files that a shell pattern names; of several releases the newest first."""
    found = [path for path in glob.glob(pattern) if os.access(path, os.X_OK)]  # noqa: PTH207
    return sorted(found, key=_numbers, reverse=True)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(found) for found in re.findall(r"\d+", text))


def candidates(
    name: str, environ: Mapping[str, str], which: Which = shutil.which, files: Files = files_like
) -> list[str]:
    """Paths where a program may be, most wanted first: PATH, the CUDA toolkit, NVIDIA's folders.

    Args:
        name: a key of `TOOLS`.
        environ: for ``CUDA_HOME`` and ``CUDA_PATH``.
        which, files: look a program up on PATH, and files by a shell pattern.
    """
    on_path = which(name)
    found = [on_path] if on_path else []
    roots = [environ[root] for root in ("CUDA_HOME", "CUDA_PATH") if environ.get(root)]
    places = [f"{root}/bin/{name}" for root in [*roots, "/usr/local/cuda*"]]
    for place in (*places, *PLACES[name]):
        found += files(place)
    return list(dict.fromkeys(found))


def find_program(name: str, environ: Mapping[str, str] | None = None) -> Program:
    """The program that the variable ``NSYS`` or ``NCU`` names, else the first that answers.

    Raises:
        InputError: the variable names no program, or one that does not answer.
        MissingPackageError: there is none.
    """
    environ = os.environ if environ is None else environ
    variable = name.upper()
    asked_for = environ.get(variable, "")
    if asked_for:
        return _asked_for(name, variable, asked_for)
    on_path = shutil.which(name)
    failed = []
    for path in candidates(name, environ):
        version = _version(path)
        if version:
            return Program(name, path, version, "PATH" if path == on_path else "an NVIDIA folder")
        failed.append(path)
    said = f" ({', '.join(failed)} does not answer)" if failed else ""
    raise MissingPackageError(
        f"no {name} on PATH, in the CUDA toolkit or in an Nsight folder{said}",
        fix=f"install {TOOLS[name]}, or name its program in the variable {variable}",
    )


def _asked_for(name: str, variable: str, wanted: str) -> Program:
    path = shutil.which(wanted)
    version = _version(path) if path else ""
    if path is None or not version:
        wrong = "which is no program here" if path is None else "which does not tell its version"
        raise InputError(
            f"the variable {variable} names {wanted}, {wrong}",
            fix=f"set {variable} to the path of {name}, or unset it",
        )
    return Program(name, path, version, f"the variable {variable}")


def _version(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=VERSION_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = VERSION.search(done.stdout + done.stderr)
    return found[1] if done.returncode == 0 and found else ""
