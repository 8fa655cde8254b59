"""The figures of one peer and one workload, in the process that was started for them."""

from __future__ import annotations

import gc
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.recorder_clock import Device
from benchmarks.recorder_peers import Peer, Seen
from benchmarks.recorder_workloads import Part

WARM_S, WARM_AGAIN_S = 0.3, 0.05
"""Calls are made for so long before anything is timed, of the first and of each further part:
clocks go up, lazy loading is over."""

BASELINE_S = 0.1
BASELINES = 3
"""Untraced samples before the first and after the last recording, each of about BASELINE_S."""

FIRST_RECORDS = 1_000
RSS_FROM_RECORDS = 20_000
"""With fewer records the growth of the process says nothing about the data."""

Values = dict[str, list[float]]


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def launched(part: Part, calls: int, device: Device) -> float:
    """Make ``calls`` calls without waiting; host time per call in µs."""
    call = part.call
    part.reset()
    with part.context():
        device.begin()
        began = time.perf_counter_ns()
        for _ in range(calls):
            call()
        spent = time.perf_counter_ns() - began
        device.end()
    return spent / 1e3 / calls


def warm_up(part: Part, device: Device, seconds: float) -> float:
    """Call for so long; seconds per call, the device included."""
    calls, made = 1, 0
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        launched(part, calls, device)
        device.synchronise()
        made += calls
        calls = min(calls * 2, 1_000)
    return spent / made


def untraced(part: Part, device: Device, call_s: float, prefix: str, values: Values) -> None:
    """Host time per call and device time per node of a graph, with nothing recorded."""
    calls = max(1, min(part.calls, int(BASELINE_S / call_s)))
    for _ in range(BASELINES):
        device.synchronise()
        values[f"{prefix}_launch_us"].append(launched(part, calls, device))
        device.synchronise()
        if part.graph:
            values[f"{prefix}_node_us"].append(device.elapsed_us() / calls / part.nodes)


class Recordings:
    """Records parts with one peer and gathers the figures.

    Args:
        peer: prepared.
        device: where the calls run.

    Attributes:
        values: lists of figures by name, per part.
        problems: what recordings said of themselves, per part.
    """

    def __init__(self, peer: Peer, device: Device) -> None:
        self._peer = peer
        self._device = device
        self._rss = resident_bytes()
        self.values: dict[str, Values] = defaultdict(lambda: defaultdict(list))
        self.problems: dict[str, list[str]] = defaultdict(list)

    def record(self, part: Part, *, synchronised: bool, prefix: str = "") -> None:
        """One recording; ``prefix`` goes before the names of its figures."""
        gc.collect()
        self._device.synchronise()
        cpu = time.process_time_ns()
        began = time.perf_counter_ns()
        self._peer.start(part.calls * part.records_per_call)
        start_us = (time.perf_counter_ns() - began) / 1e3
        launch_us = launched(part, part.calls, self._device)
        if synchronised:
            self._device.synchronise()
        began = time.perf_counter_ns()
        self._peer.stop()
        usable_us = (time.perf_counter_ns() - began) / 1e3
        cpu_us = (time.process_time_ns() - cpu) / 1e3
        grown = resident_bytes() - self._rss
        seen = self._peer.seen()
        self._peer.release()
        self._device.synchronise()
        figures = {"start_us": start_us, "launch_us": launch_us}
        figures["process_cpu_us_per_call"] = cpu_us / part.calls
        if part.graph:
            figures["node_us"] = self._device.elapsed_us() / part.calls / part.nodes
        figures |= _usable(usable_us, part, seen, synchronised=synchronised)
        figures |= _kept(seen, part, grown)
        for name, value in figures.items():
            self.values[part.name][prefix + name].append(value)
        self.problems[part.name] += seen.problems


def _usable(us: float, part: Part, seen: Seen, *, synchronised: bool) -> dict[str, float]:
    """Time from leaving the region to data, per raw record seen or else asked for."""
    name = "usable" if synchronised else "usable_unsynchronised"
    records = seen.records or part.calls * part.records_per_call
    return {
        f"{name}_us": us,
        f"{name}_us_per_record": us / records,
        f"{name}_us_per_activity": us / (part.calls * part.nodes),
    }


def _kept(seen: Seen, part: Part, grown: int) -> dict[str, float]:
    """Counts, losses, memory."""
    figures = dict(seen.values)
    for name in ("records", "activities", "dropped"):
        if (count := getattr(seen, name)) is not None:
            figures[name] = float(count)
    if seen.activities is not None:
        missing = max(0, part.calls * part.nodes - seen.activities)
        figures["lost"] = float(max(missing, seen.dropped or 0))
    figures["rss_growth_bytes"] = float(grown)
    records = seen.records or part.calls * part.records_per_call
    if records >= RSS_FROM_RECORDS:
        figures["rss_bytes_per_record"] = grown / records
    if seen.at_rest_bytes is not None:
        figures["at_rest_bytes_per_record"] = seen.at_rest_bytes / records
    return figures


def measure(peer: Peer, parts: Sequence[Part], device: Device) -> dict[str, Any]:
    """Untraced baselines, a first recording kept apart, all recordings, the untraced residual."""
    seconds = (WARM_S, *[WARM_AGAIN_S] * (len(parts) - 1))
    cost = {p.name: warm_up(p, device, s) for p, s in zip(parts, seconds, strict=True)}
    before: dict[str, Values] = {part.name: defaultdict(list) for part in parts}
    for part in parts:
        untraced(part, device, cost[part.name], "before", before[part.name])
    recordings = Recordings(peer, device)
    recordings.record(parts[0].limited(FIRST_RECORDS), synchronised=True, prefix="first_")
    for part in parts:
        for number in range(part.recordings):
            recordings.record(part, synchronised=True)
            if number % 2 == 0:
                recordings.record(part, synchronised=False)
    for part in parts:
        values = recordings.values[part.name]
        values.update(before[part.name])
        untraced(part, device, cost[part.name], "after", values)
    return {
        part.name: {
            "values": dict(recordings.values[part.name]),
            "records_requested": part.calls * part.records_per_call,
            "calls": part.calls,
            "nodes_per_call": part.nodes,
            "problems": sorted(set(recordings.problems[part.name])),
        }
        for part in parts
    }
