"""One process of `benchmarks.recorder`: started, told to measure, read, ended."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.recorder_child import READY, RESULT, arguments_of
from benchmarks.recorder_workloads import Sizes
from harness.report.private import without_paths

ROOT = Path(__file__).parent.parent
SETUP_S = 240.0
"""Imports, JIT compilation and weights of a dozen children together."""

ERROR_CHARACTERS = 600


@dataclass(frozen=True)
class Job:
    """A child to be.

    Attributes:
        peer, workload: by name.
        repetition: counted from 0.
        limit: most raw records per recording, 0 for no limit.
        packages: folder with the packages of this peer, before all others; None for none.
    """

    peer: str
    workload: str
    repetition: int = 0
    limit: int = 0
    packages: Path | None = None

    def environment(self) -> dict[str, str]:
        """That of this process, with the peer's packages."""
        variables = dict(os.environ)
        if self.packages is not None:
            known = variables.get("PYTHONPATH")
            found = [str(self.packages.resolve()), *([known] if known else [])]
            variables["PYTHONPATH"] = os.pathsep.join(found)
        return variables


class Child:
    """A process that sets up and then waits for its turn.

    Args:
        job: what it does.
        sizes: of the workloads.
        folder: of its own, for its files.
        command: that starts it, without arguments.
        seconds: for setting up.
    """

    def __init__(
        self, job: Job, sizes: Sizes, folder: Path, command: Sequence[str], seconds: float
    ) -> None:
        self.job = job
        self._folder = folder
        self._setup_s = min(SETUP_S, seconds)
        self._deadline = time.monotonic() + self._setup_s
        self._log = (folder / "log").open("w")
        given = arguments_of(job.peer, job.workload, sizes, job.limit, folder)
        self._process = subprocess.Popen(
            [*command, *given],
            cwd=ROOT,
            env=job.environment(),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def ready(self) -> bool:
        """Whether it waits for its turn."""
        return (self._folder / READY).exists()

    @property
    def setting_up(self) -> bool:
        """Whether it is neither ready nor over, with time left."""
        over = self._process.poll() is not None or time.monotonic() > self._deadline
        return not self.ready and not over

    def measured(self, seconds: float) -> dict[str, Any]:
        """Let it run; what it found, or why it did not."""
        timed_out = f"timed out: set up for {self._setup_s:.0f} s"
        if self.ready:
            timed_out = f"timed out: measured for {seconds:.0f} s"
            self._go(seconds)
        code = self._process.poll()
        self.stop()
        error = timed_out if code is None else f"ended with {code}: {self._tail()}"
        return self._found() or {"error": error}

    def _go(self, seconds: float) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended by itself; its result says why
            self._process.stdin.write("go\n")
            self._process.stdin.flush()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def stop(self) -> None:
        """End the process. May be repeated."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._log.close()

    def _found(self) -> dict[str, Any]:
        try:
            result: dict[str, Any] = json.loads((self._folder / RESULT).read_text())
        except (OSError, ValueError):
            return {}
        if "error" in result:
            result["error"] = without_paths(str(result["error"]))[:ERROR_CHARACTERS]
        return result

    def _tail(self) -> str:
        lines = (self._folder / "log").read_text(errors="replace").strip().splitlines()
        return without_paths(" / ".join(lines[-4:]))[-ERROR_CHARACTERS:]
