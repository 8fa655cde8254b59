"""Ending a program together with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

SIGNALS = (
    (signal.SIGINT, 60.0),
    (signal.SIGTERM, 20.0),
    (signal.SIGKILL, 10.0),
)
"""What a program that does not end is sent, and the seconds that it has to follow; on SIGINT nsys
ends collection and still writes its report."""


def end_group(process: subprocess.Popen[bytes]) -> str:
    """End a program, then kill what is left of its process group.

    Args:
        process: started with ``start_new_session=True``, so that the group is its own.

    Returns:
        The signal that it took; empty where it had ended by itself.
    """
    used = ""
    for number, seconds in SIGNALS:
        if process.poll() is not None:
            break
        _signal(process.pid, number)
        used = number.name
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    _signal(process.pid, signal.SIGKILL)
    return used


def _signal(group: int, number: signal.Signals) -> None:
    # Nothing is left of the group, or only what runs as somebody else.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
