"""What tracing leaves behind: launches and replays stay slower in a process that has traced."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.measure.events import time_replays
from harness.measure.graph import capture
from harness.record.state import has_traced

if TYPE_CHECKING:
    from ops.sides import Side

LAUNCHES = 200
"""Launches in one sample of the host's cost: the launch queue (about 1,000) never fills."""

GRAPH_NODES = 500
SAMPLES = 20


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


_after_first: dict[str, float] | None = None


def residual_once() -> dict[str, float]:
    """As `residual`, but measured the first time only: it takes 0.1 s."""
    global _after_first
    if _after_first is None:
        _after_first = residual()
    return dict(_after_first)


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
