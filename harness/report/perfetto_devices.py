"""Each device as a whole: launches of graphs, gaps, and how many kernels ran at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.analyze.intervals import gaps_between, merged
from harness.analyze.selection import grouped, spans
from harness.report.perfetto_device import DeviceTracks
from harness.report.perfetto_events import Event, span
from harness.report.perfetto_lanes import flat_lanes, in_lane

Launch = tuple[int, int, int, int]
"""Of a graph: first start and last end in ns, id of the graph, number of nodes."""


def graph_launches(device: DeviceTracks) -> Iterator[Event]:
    """One slice per launch of a graph, from the first of its nodes to the last."""
    nodes = device.rows.filter(device.rows["graph"].is_valid())
    if not nodes.num_rows:
        return
    starts, ends = spans(nodes)
    launches: dict[int, list[Launch]] = {}
    for label, rows in grouped(nodes, "process", "device", "graph", "correlation"):
        first, last = int(starts[rows].min()), int(ends[rows].max())
        found = launches.setdefault(device.pid_of(label[0], label[1]), [])
        found.append((first, last, label[2] or 0, len(starts[rows])))
    for pid, found in launches.items():
        yield from _launches(device, pid, sorted(found))


def _launches(device: DeviceTracks, pid: int, found: list[Launch]) -> Iterator[Event]:
    firsts, lasts = np.array(found, np.int64)[:, :2].T
    for (first, last, graph, count), lane in zip(
        found, flat_lanes(firsts, lasts).tolist(), strict=True
    ):
        tid = device.tracks.thread(pid, ("graphs", lane), in_lane("CUDA graphs", lane))
        args = {"graph id": graph, "nodes": count}
        yield span("graph_launch", f"graph {graph}", pid, tid, first, last, args)


def gaps(device: DeviceTracks) -> Iterator[Event]:
    """When no kernel ran, between the first and the last of each device."""
    for pid, starts, ends in device.kernels():
        idle = gaps_between(merged(starts, ends))
        for start, end in zip(idle.starts.tolist(), idle.ends.tolist(), strict=True):
            tid = device.tracks.thread(pid, ("gaps",), "gaps: no kernel runs")
            yield span("gap", "idle", pid, tid, start, end, {"ns": end - start})


def kernels_running(device: DeviceTracks) -> Iterator[Event]:
    """Counters of how many kernels run, for devices on which some overlap."""
    for pid, starts, ends in device.kernels():
        times = np.concatenate([ends, starts])
        steps = np.repeat(np.array([-1, 1]), [len(ends), len(starts)])
        order = np.argsort(times, kind="stable")
        running, times = np.cumsum(steps[order]), times[order]
        settled = np.append(times[1:] != times[:-1], True)[: len(times)]
        if not len(times) or running[settled].max() < 2:
            continue
        for time, count in zip(times[settled].tolist(), running[settled].tolist(), strict=True):
            yield {
                "ph": "C",
                "name": "kernels running",
                "pid": pid,
                "tid": 0,
                "ts": time,
                "args": {"kernels": count},
            }
