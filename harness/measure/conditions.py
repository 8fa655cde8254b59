"""What state the card and this process were in around a measurement, and meanwhile.

In between the card is sampled by another process, five times a second. A thread of this one would
hold the interpreter between launches, and reading between blocks would leave the card idle there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.measure.model import Conditions
from harness.measure.nvml import nvml
from harness.measure.sampler import Sampler, sampler
from harness.record.residual import calibrate_before_tracing, residual
from harness.record.state import has_traced

if TYPE_CHECKING:
    import torch

Reading = tuple[Mapping[str, Any], str]
"""A snapshot, or nothing and why."""

SPIN_CYCLES = 40_000_000
"""About 20 ms at 2 GHz; an NVML snapshot takes about 5 ms."""

SAMPLE_S = 0.2
"""Between two readings while something is measured."""


def read_card(device: torch.device | str | int | None = None, *, busy: bool = False) -> Reading:
    """A snapshot of the card and its counters, or nothing and why it cannot be read.

    Args:
        device: a torch device, its name or index, or None for the current one.
        busy: let a kernel spin meanwhile. An idle card shows the clocks of its idle state, which
            say nothing of a measurement.
    """
    import torch

    try:
        readings = nvml()
        with torch.cuda.device(device):
            # Before this process has a context on the card it is missing among its processes, and
            # would look like another one later (where ids of processes are not those of NVML).
            torch.cuda.synchronize()
            if busy:
                torch.cuda._sleep(SPIN_CYCLES)
            snapshot = readings.snapshot(device) | readings.counters(device)
            torch.cuda.synchronize()
        return snapshot, ""
    except HarnessError as error:
        return {}, str(error)


class ConditionsWatch:
    """Reads the card now and again in ``finish``, and has it sampled in between.

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
        self._sampling, self._unsampled = _sample(self._before[0].get("uuid"))

    def finish(self) -> Conditions:
        """The state of the card before, in between and after."""
        during, lost = _sampled(self._sampling)
        (before, problem), (after, later) = self._before, read_card(self._device, busy=True)
        import torch

        with torch.cuda.device(self._device):
            left = residual() if self._traced else {}
        return Conditions(
            before,
            after,
            self._traced,
            left,
            problem or later,
            during,
            self._unsampled or lost,
        )


def _sample(uuid: str | None) -> tuple[Sampler | None, str]:
    """Begin to sample; or nothing and why, which is no reason to stop measuring."""
    if uuid is None:
        return None, ""
    try:
        found = sampler(uuid, "card")
        found.begin(SAMPLE_S)
    except HarnessError as error:
        return None, str(error)
    return found, ""


def _sampled(sampling: Sampler | None) -> Reading:
    if sampling is None:
        return {}, ""
    try:
        found = sampling.end()
    except HarnessError as error:
        return {}, str(error)
    others = [process for process in found["process_ids"] if process != os.getpid()]
    return found | {"process_ids": others}, ""
