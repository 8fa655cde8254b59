"""The one family of errors: each says what was wrong, where, and what to do next."""

from __future__ import annotations

EXIT_OK = 0
EXIT_DIVERGED = 1
EXIT_USAGE = 2
EXIT_UNDECIDED = 3
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130


class HarnessError(Exception):
    """An error that a command shows as one line and turns into its exit code.

    Args:
        what: what was wrong and where, as one sentence without a trailing period.
        fix: what the user can do next, as an imperative sentence.
    """

    exit_code: int = EXIT_USAGE

    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


class InputError(HarnessError):
    """A wrong option, argument or file (exit code 2)."""


class MissingPackageError(HarnessError, ImportError):
    """A package is not installed or too old (exit code 2). The fix names the pip command."""


class MissingDeviceError(HarnessError):
    """There is no device of the kind that was asked for (exit code 2)."""


class TraceFormatError(HarnessError):
    """A Trace file is not one, is damaged, or has a version this release does not read (exit 2)."""


class NoSignalError(HarnessError):
    """A file or recording holds nothing of what was asked about: no kernel (exit code 3)."""

    exit_code = EXIT_UNDECIDED


class RecorderBusyError(HarnessError):
    """Another profiler holds CUPTI in this process or on this device (exit code 3)."""

    exit_code = EXIT_UNDECIDED
