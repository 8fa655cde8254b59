"""Clocks on the device, for `benchmarks.recorder`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from harness.errors import MissingDeviceError


class Device(Protocol):
    """A clock on the device."""

    def synchronise(self) -> None:
        """Wait for everything."""
        ...

    def begin(self) -> None:
        """Note a point of the current stream."""
        ...

    def end(self) -> None:
        """Note a second one."""
        ...

    def elapsed_us(self) -> float:
        """Device time between the two, which have been reached."""
        ...


class Cuda:
    """CUDA events on the current stream."""

    def __init__(self) -> None:
        import torch

        if not torch.cuda.is_available():
            raise MissingDeviceError(
                "the cost of recording is measured on an NVIDIA GPU, and torch finds none",
                fix="run on a machine with one",
            )
        self.synchronise: Callable[[], None] = torch.cuda.synchronize
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.begin: Callable[[], None] = first.record
        self.end: Callable[[], None] = last.record
        self._pair = first, last

    def elapsed_us(self) -> float:
        """See `Device`."""
        return float(self._pair[0].elapsed_time(self._pair[1])) * 1e3


class Host:
    """No device: for the protocol alone."""

    def __init__(self) -> None:
        self._times = [0, 0]

    def synchronise(self) -> None:
        """See `Device`."""

    def begin(self) -> None:
        """See `Device`."""
        self._times[0] = time.perf_counter_ns()

    def end(self) -> None:
        """See `Device`."""
        self._times[1] = time.perf_counter_ns()

    def elapsed_us(self) -> float:
        """See `Device`."""
        return (self._times[1] - self._times[0]) / 1e3
