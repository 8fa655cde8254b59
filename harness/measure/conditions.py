"""What state the card and this process were in around a measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.measure.events import time_replays
from harness.measure.graph import capture
from harness.measure.model import Conditions
from harness.measure.nvml import nvml
from harness.record.state import has_traced

if TYPE_CHECKING:
    import torch

    from ops.sides import Side

Reading = tuple[Mapping[str, Any], str]
"""A snapshot, or nothing and why."""

LAUNCHES = 200
"""Launches in one sample of the host's cost: the launch queue (about 1,000) never fills."""

GRAPH_NODES = 500
SAMPLES = 20

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


@dataclass(frozen=True)
class Calibration:
    """What tiny kernels cost in this process, in microseconds.

    Attributes:
        launch_us: host time of one eager launch.
        replay_node_us: GPU time of one node of a replayed graph.
    """

    launch_us: float
    replay_node_us: float


_untraced: Calibration | None = None


def calibrate_before_tracing() -> None:
    """Take the figures that ``residual`` compares with; does nothing the second time, nor in a
    process that has traced already."""
    global _untraced
    if _untraced is None and not has_traced():
        _untraced = launch_cost()


def residual() -> dict[str, float]:
    """What tracing left behind in this process: microseconds added, measured now.

    ``launch_us_added`` to the host per eager launch, ``replay_node_us_added`` to the GPU per graph
    node. Empty when there are no figures from before tracing.
    """
    if _untraced is None:
        return {}
    now = launch_cost()
    return {
        "launch_us_added": now.launch_us - _untraced.launch_us,
        "replay_node_us_added": now.replay_node_us - _untraced.replay_node_us,
    }


def launch_cost() -> Calibration:
    """Measure what tiny kernels cost on the current CUDA device; takes about 0.1 s."""
    import torch

    from ops.sides import Side

    tiny = torch.zeros(1, device="cuda")
    side = Side("calibration", call=lambda: tiny.add_(1))
    return Calibration(_launch_us(side), _replay_node_us(side))


def _launch_us(side: Side) -> float:
    import torch

    samples = []
    for _ in range(SAMPLES):
        torch.cuda.synchronize()
        start = time.perf_counter_ns()
        for _ in range(LAUNCHES):
            side.call()
        samples.append((time.perf_counter_ns() - start) / 1000 / LAUNCHES)
    return median(samples[1:])  # the first loads the kernel


def _replay_node_us(side: Side) -> float:
    graph = capture(side, calls=GRAPH_NODES)
    try:
        graph.replay()
        return median(time_replays(graph.replay, SAMPLES)) * 1000 / GRAPH_NODES
    finally:
        graph.close()
