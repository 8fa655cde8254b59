"""Sample a card from another process, so that no reading delays what is being measured.

Not ``multiprocessing``: its children import the user's main script again, and a daemonic worker,
which collectors use, may not have any.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.errors import EXIT_UNDECIDED, HarnessError

ANSWER_TIMEOUT_S = 20.0
"""A fresh process answers within a second; a driver that hangs does not."""

_ROOT = Path(__file__).resolve().parents[2]


class SamplerError(HarnessError):
    """The sampling process failed (exit code 3 where nobody handles it)."""

    exit_code = EXIT_UNDECIDED


class Sampler:
    """A process that samples one card between ``begin`` and ``end``, again and again.

    Args:
        uuid: of the card, as NVML writes it.
        kind: a name in `harness.measure.sampling.KEEPERS`.
        command: what to run instead of the sampling module.
    """

    def __init__(self, uuid: str, kind: str, command: list[str] | None = None) -> None:
        self.begun = False
        own = [sys.executable, "-P", "-m", "harness.measure.sampler_child", uuid, kind]
        try:
            self._process = subprocess.Popen(
                command or own,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=_environment(),
                text=True,
            )
        except OSError as error:
            raise SamplerError(f"no sampling process: {error}", fix=_FIX) from error

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def begin(self, period_s: float) -> None:
        """Sample every ``period_s`` seconds from now on; returns after the first reading.

        A sampling that nobody ended, because what was measured failed, is dropped.

        Raises:
            SamplerError: it ended, or the card cannot be read.
        """
        if self.begun:
            self.end()
        self._ask(f"begin {period_s}")
        self.begun = True

    def end(self) -> dict[str, Any]:
        """Stop sampling; what was kept.

        Raises:
            SamplerError: it is not sampling, it ended, or the card could not be read.
        """
        if not self.begun:
            raise SamplerError("the card is not being sampled", fix="begin first")
        self.begun = False
        return self._ask("end")

    def close(self) -> None:
        """End the process. May be repeated."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, line: str) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise SamplerError("the sampling process was closed", fix=_FIX)
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except OSError as error:
            raise SamplerError(f"the sampling process is gone: {error}", fix=_FIX) from error
        ready, _, _ = select.select([stdout], [], [], ANSWER_TIMEOUT_S)
        answer = stdout.readline() if ready else ""
        if not answer:
            self.close()
            raise SamplerError(
                f"the sampling process does not answer (exit code {self._process.returncode})",
                fix=_FIX,
            )
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            self.begun = False
            raise SamplerError(f"the card cannot be sampled: {found['error']}", fix=_FIX)
        return found


_FIX = "run `python -m harness.doctor`"
_open: dict[tuple[int, str, str], Sampler] = {}


def sampler(uuid: str, kind: str) -> Sampler:
    """The sampler of that kind for that card, started once per process: it takes 0.1 s or more.

    Raises:
        SamplerError: it cannot be started.
    """
    key = (os.getpid(), uuid, kind)  # a forked child must not use its parent's
    found = _open.get(key)
    if found is None or not found.alive:
        found = _open[key] = Sampler(uuid, kind)
        atexit.register(found.close)
    return found


def _environment() -> dict[str, str]:
    """This process's, with its own module search path: it may run from an uninstalled checkout."""
    paths = [str(_ROOT), *(path for path in sys.path if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
