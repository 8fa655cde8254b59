"""What state the card and this process were in around a measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.measure.model import Conditions
from harness.measure.nvml import nvml
from harness.record.residual import calibrate_before_tracing, residual
from harness.record.state import has_traced

if TYPE_CHECKING:
    import torch

Reading = tuple[Mapping[str, Any], str]
"""A snapshot, or nothing and why."""

SPIN_CYCLES = 40_000_000
"""About 20 ms at 2 GHz; an NVML snapshot takes about 5 ms."""


def read_card(device: torch.device | str | int | None = None, *, busy: bool = False) -> Reading:
    """A snapshot of the card, or nothing and why it cannot be read.

    Args:
        device: a torch device, its name or index, or None for the current one.
        busy: let a kernel spin meanwhile. An idle card shows the clocks of its idle state, which
            say nothing of a measurement.
    """
    import torch

    try:
        readings = nvml()
        if not busy:
            return readings.snapshot(device), ""
        with torch.cuda.device(device):
            torch.cuda._sleep(SPIN_CYCLES)
            snapshot = readings.snapshot(device)
            torch.cuda.synchronize()
        return snapshot, ""
    except HarnessError as error:
        return {}, str(error)


class ConditionsWatch:
    """Reads the card now and again in ``finish``.

    If the process has not traced yet, this also takes the figures that ``residual`` needs later.

    Args:
        device: a torch device, its name or index, or None for the current one.
    """

    def __init__(self, device: torch.device | str | int | None = None) -> None:
        import torch

        self._device = torch.device("cuda" if device is None else device)
        with torch.cuda.device(self._device):
            calibrate_before_tracing()
        self._traced = has_traced()
        self._before = read_card(device, busy=True)

    def finish(self) -> Conditions:
        """The state of the card before and after."""
        (before, problem), (after, later) = self._before, read_card(self._device, busy=True)
        import torch

        with torch.cuda.device(self._device):
            left = residual() if self._traced else {}
        return Conditions(before, after, self._traced, left, problem or later)
