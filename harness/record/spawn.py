"""A child process in the foreground: the terminal and the signals are its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import InputError

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# Python ignores these; a command must find them as a shell would leave them.
_AS_IN_A_SHELL = (signal.SIGPIPE, signal.SIGXFSZ)
_SI_KERNEL = 0x80  # asm-generic/siginfo.h: sent by the kernel, as the terminal's Ctrl-C is


def spawn(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, int]:
    """Run a command with this process's standard streams, pass signals on to it, and wait.

    Ctrl-C is not passed on: the terminal has sent it to the command too, and twice would be once
    too often for a script that cleans up.

    Returns:
        Its process id and its exit code; 128 + number of the signal that ended it, as shells count.

    Raises:
        InputError: it cannot be started.
    """
    watched = (*_PASSED_ON, signal.SIGCHLD)
    # Blocked before the start, so that no signal is lost and none ends this process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    # Ignored, as it may be inherited, its end would neither be waited for nor told.
    about_children = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        process = _started(command, environment, before)
        while True:
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                break
            _pass_on(signal.sigwaitinfo(watched), process)
    finally:
        signal.signal(signal.SIGCHLD, about_children)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = os.waitstatus_to_exitcode(status)
    return process, code if code >= 0 else 128 - code


def _started(command: Sequence[str], environment: Mapping[str, str], signals: Any) -> int:
    try:
        return os.posix_spawnp(
            command[0], list(command), environment, setsigmask=signals, setsigdef=_AS_IN_A_SHELL
        )
    except OSError as error:
        raise InputError(
            f"{command[0]} cannot be started ({error.strerror})", fix="check that it runs by itself"
        ) from error


def _pass_on(received: Any, process: int) -> None:
    from_terminal = received.si_code == _SI_KERNEL  # the command has got it too
    if received.si_signo != signal.SIGCHLD and not from_terminal:
        os.kill(process, received.si_signo)
