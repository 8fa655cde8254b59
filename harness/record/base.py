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

    def watch_captures(self) -> AbstractContextManager[None]:
        """For the capture of CUDA graphs that are replayed in a later recording: what the recorder
        can only learn while nodes are made. A recorder that has no use for it does nothing."""
        ...
