"""Standard output that may be closed or full, without losing the exit code of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from harness.errors import InputError


def printed(show: Callable[[], object]) -> None:
    """Call ``show``, which prints; a reader that has left (``| head``) is no error.

    Raises:
        InputError: the output cannot be written (disk full).
    """
    if sys.stdout is None:  # closed before the process began
        return
    try:
        show()
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_the_rest()
    except SystemExit:
        # rich and click end the process on a broken pipe; the verdict's exit code would be lost
        _discard_the_rest()
    except OSError as error:
        _discard_the_rest()
        raise InputError(
            f"cannot write to standard output ({error.strerror})",
            fix="free some space or send the output elsewhere",
        ) from error


def _discard_the_rest() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
