"""What a recorder offers, whichever source it reads."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from harness.trace import Trace


class Recording(Protocol):
    """A running or finished recording."""

    @property
    def trace(self) -> Trace:
        """The Trace; raises RuntimeError while the recording runs."""
        ...


class Recorder(Protocol):
    """Records what a block of code launches.

    ``with recorder.record() as recording: ...`` and then ``recording.trace``. Entering raises
    MissingPackageError, MissingDeviceError or RecorderBusyError where it cannot record; leaving,
    also by an exception, leaves nothing enabled.
    """

    name: str

    def available(self) -> tuple[bool, str]:
        """Whether it can record here, and why (not), as a phrase. Cheap; touches no device."""
        ...

    def record(self) -> AbstractContextManager[Recording]:
        """Open a recording."""
        ...
