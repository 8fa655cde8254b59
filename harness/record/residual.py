"""What tracing leaves behind: launches and replays stay slower in a process that has traced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from harness.record.state import has_traced

if TYPE_CHECKING:
    import torch

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
        replay_launch_node_us: host time of launching that graph, per node.
    """

    launch_us: float
    replay_node_us: float
    replay_launch_node_us: float = 0.0


_untraced: Calibration | None = None


def calibrate_before_tracing() -> None:
    """Take the figures that ``residual`` compares with; does nothing the second time, nor in a
    process that has traced already."""
    global _untraced
    if _untraced is None and not has_traced():
        _untraced = launch_cost()


def residual() -> dict[str, float]:
    """What tracing left behind in this process: microseconds added, measured now.

    ``launch_us_added`` to the host per eager launch, ``replay_node_us_added`` to the GPU and
    ``replay_launch_node_us_added`` to the host per graph node. Empty when there are no figures from
    before tracing.
    """
    if _untraced is None:
        return {}
    now = launch_cost()
    return {
        "launch_us_added": now.launch_us - _untraced.launch_us,
        "replay_node_us_added": now.replay_node_us - _untraced.replay_node_us,
        "replay_launch_node_us_added": now.replay_launch_node_us - _untraced.replay_launch_node_us,
    }


_after_first: dict[str, float] | None = None


def residual_once() -> dict[str, float]:
    """As `residual`, but measured the first time only: it takes 0.1 s."""
    global _after_first
    if _after_first is None:
        _after_first = residual()
    return dict(_after_first)


def launch_cost() -> Calibration:
    """Measure what tiny kernels cost on the current CUDA device; takes about 0.1 s.

    Raises:
        RuntimeError: torch cannot launch, or capture a graph, here and now.
    """
    import torch

    tiny = torch.zeros(1, device="cuda")
    launch_us = _launch_us(lambda: tiny.add_(1))
    graph = _captured(lambda: tiny.add_(1))
    try:
        return Calibration(launch_us, *_replay_us(graph))
    finally:
        torch.cuda.synchronize()
        graph.reset()


def _launch_us(launch: Callable[[], object]) -> float:
    import torch

    samples = []
    for _ in range(SAMPLES):
        torch.cuda.synchronize()
        start = time.perf_counter_ns()
        for _ in range(LAUNCHES):
            launch()
        samples.append((time.perf_counter_ns() - start) / 1000 / LAUNCHES)
    return median(samples[1:])  # the first loads the kernel


def _captured(launch: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """A graph of tiny kernels. ``torch.cuda.graph`` is not used, for it empties the allocator's
    cache, whose next blocks the caller would then see being allocated."""
    import torch

    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(False), torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda.synchronize()
        graph.capture_begin(capture_error_mode="thread_local")
        for _ in range(GRAPH_NODES):
            launch()
        graph.capture_end()
    return graph


def _replay_us(graph: torch.cuda.CUDAGraph) -> tuple[float, float]:
    """Medians per node: time on the device, and of the host's call."""
    import torch

    device, host = [], []
    for _ in range(SAMPLES):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        start = time.perf_counter_ns()
        graph.replay()
        host.append((time.perf_counter_ns() - start) / 1000 / GRAPH_NODES)
        end.record()
        end.synchronize()
        device.append(begin.elapsed_time(end) * 1000 / GRAPH_NODES)
    return median(device[1:]), median(host[1:])
