"""A server that runs under nsys: its output, whether it is ready, and how it is ended."""

from __future__ import annotations

import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from harness.errors import EXIT_UNDECIDED, HarnessError, InputError
from harness.nsys.group import end_group

POLL_S = 0.2


class ServerError(HarnessError):
    """The server ended or was not ready in time (exit code 3)."""

    exit_code = EXIT_UNDECIDED


class Server:
    """A command in a session of its own, whose output goes to a log and line by line to ``watch``.

    Args:
        command: program and arguments.
        log: file for standard output and error.
        watch: told each line.

    Raises:
        InputError: it cannot be started, or the log cannot be written.
    """

    def __init__(
        self, command: Sequence[str], log: Path, watch: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._watch = watch
        self.log = log
        try:
            self._file = log.open("wb")
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is answered here, where collection can be ended
            )
        except OSError as error:
            raise InputError(
                f"cannot start {command[0]} with its log {log} ({error.strerror})",
                fix="check the command, and that the folder of --out may be written to",
            ) from error
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def _pump(self) -> None:
        assert self._process.stdout is not None
        with self._file:
            for line in self._process.stdout:
                self._file.write(line)
                self._file.flush()
                self._watch(line.decode(errors="replace").rstrip("\r\n"))

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it ends; None where it still runs after ``timeout`` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def until(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until ``ready()``.

        Raises:
            ServerError: it ended first, or ``timeout`` seconds went by.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if self.code is not None:
                raise ServerError(
                    f"the server ended with code {self.code} before {what}",
                    fix=f"read its output in {self.log}",
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the server was not ready after {timeout:g} s ({what})",
                    fix=f"read its output in {self.log}, or give it longer with --timeout",
                )
            time.sleep(POLL_S)

    def end(self) -> str:
        """End it and everything that it started; returns the signal it took, empty for none."""
        used = end_group(self._process)
        self._thread.join(timeout=5)
        return used


class Lines:
    """Whether a line that a pattern matches has come.

    Args:
        pattern: regular expression, searched in each line of output.

    Raises:
        InputError: it is malformed.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise InputError(
                f"--ready-text {pattern!r} is no regular expression ({error})", fix="mend it"
            ) from error
        self._seen = threading.Event()

    def watch(self, line: str) -> None:
        """Look at a line."""
        if self._pattern.search(line):
            self._seen.set()

    def __call__(self) -> bool:
        return self._seen.is_set()


def check_url(url: str) -> str:
    """The URL, if it is one of a server.

    Raises:
        InputError: it is none of http or https.
    """
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--ready {url} is no http URL", fix="pass http://HOST:PORT/health")
    return url


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether a URL answers with a code of 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as reply:
            return 200 <= int(reply.status) < 300
    except (OSError, ValueError, urllib.error.URLError):
        return False
