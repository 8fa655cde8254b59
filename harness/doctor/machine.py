"""What the checks ask of the machine and of this process; a test answers in its place."""

from __future__ import annotations

import ctypes
import glob
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.doctor import process

if TYPE_CHECKING:
    from harness.measure.nvml import Nvml
    from harness.record.cupti.binding import Cupti
    from ops.spec import Availability

PROGRAM_TIMEOUT_S = 20.0
"""For ``PROGRAM --version``: seconds on a cold network file system, not minutes."""


@dataclass(frozen=True)
class Answer:
    """What a program said: its exit code (-1: it could not be run) and all its output."""

    code: int
    text: str


def read_text(path: str) -> str | None:
    """A small file such as those of /proc; None where it cannot be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return None


def read_bytes(path: str) -> bytes:
    """A whole file."""
    return Path(path).read_bytes()


def files_like(pattern: str) -> list[str]:
    """Executable files that a shell pattern names; of several releases the newest first."""
    found = [path for path in glob.glob(pattern) if os.access(path, os.X_OK)]  # noqa: PTH207
    return sorted(found, key=numbers, reverse=True)


def run_program(command: Sequence[str]) -> Answer:
    """Run a program that only prints something."""
    try:
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(-1, str(error))
    return Answer(done.returncode, done.stdout + done.stderr)


def package_version(distribution: str) -> str:
    """Installed version of a distribution; empty when it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def loadable(library: str) -> bool:
    """Whether the dynamic linker finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def numbers(text: str) -> tuple[int, ...]:
    """All numbers in a text up to a ``+``: ``13.0.85+cpu`` -> (13, 0, 85)."""
    return tuple(int(found) for found in re.findall(r"\d+", text.partition("+")[0]))


def short(path: str) -> str:
    """The last three parts of a path: enough to tell installations apart, nothing private."""
    return "/".join(Path(path).parts[-3:]).lstrip("/")


@dataclass(frozen=True)
class Machine:
    """Where every check gets its facts from; any of them can be replaced.

    Those that touch torch, libcupti or NVML raise what the code behind them raises.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    python: str = platform.python_version()
    text: Callable[[str], str | None] = read_text
    content: Callable[[str], bytes] = read_bytes
    files: Callable[[str], list[str]] = files_like
    which: Callable[[str], str | None] = shutil.which
    run: Callable[[Sequence[str]], Answer] = run_program
    package: Callable[[str], str] = package_version
    loadable: Callable[[str], bool] = loadable
    torch: Callable[[], process.TorchFacts] = process.torch_facts
    profiler_running: Callable[[], bool] = process.profiler_running
    driver_cuda: Callable[[], str] = process.driver_cuda
    mapped: Callable[[], list[str]] = process.mapped_libcupti
    cupti: Callable[[], Cupti] = process.libcupti
    structs: Callable[[], Mapping[str, Any]] = process.record_structs
    record: Callable[[], process.Recorded] = process.record_launches
    nvml: Callable[[], Nvml] = process.card
    operators: Callable[[], list[str]] = process.operator_names
    frameworks: Callable[[], list[str]] = process.framework_names
    framework: Callable[[str], Availability] = process.framework
