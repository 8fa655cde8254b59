"""Other readings beside the counter: averaged power, the trace, and what sampling costs."""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

from benchmarks.energy_workloads import Workload
from harness.measure.conditions import SAMPLE_S
from harness.measure.energy import measure_energy
from harness.measure.events import time_replays
from harness.measure.feed import Feeder, batch_calls
from harness.measure.nvml import device_uuid, nvml
from harness.measure.sampler import sampler

IDLE_S = 1.0
"""Before each window: a collector meets an idle card, whose power is in the average at first."""

USAGE_PERIOD_S = 0.1
"""How often collectors read nvmlDeviceGetPowerUsage."""

BLOCK_S = 0.4
BLOCKS = 8


def averaged_power(workload: Workload, seconds: float) -> dict[str, float]:
    """Replay for so long from idle, as collectors do, and average nvmlDeviceGetPowerUsage."""
    card, uuid = nvml(), device_uuid(None)
    call_ms = min(time_replays(workload.replay, 3))
    time.sleep(IDLE_S)
    feeder = Feeder(workload.replay, batch_calls(call_ms, 2.0))
    watts, begun = list[float](), time.monotonic()
    while (now := time.monotonic()) - begun < seconds:
        feeder.keep_busy()
        if now - begun >= len(watts) * USAGE_PERIOD_S:
            watts.append(card.average_power_w(uuid) or 0.0)
    ended = time.monotonic()
    calls = feeder.finish().ended_by(ended)
    power = statistics.mean(watts)
    return {
        "window_s": seconds,
        "power_w": power,
        "readings": len(watts),
        "energy_j": power * (ended - begun) / calls,
    }


def counted_from_idle(workload: Workload, seconds: float) -> dict[str, Any]:
    """The counter's figure over a window of that length, from idle too."""
    time.sleep(IDLE_S)
    found, reason = measure_energy(workload.replay, min_duration_s=seconds)
    if found is None:
        return {"window_s": seconds, "error": reason}
    kept = ("energy_j", "power", "ticks", "duration_s", "quantisation", "source")
    return {"window_s": seconds, **{name: found[name] for name in kept}}


def compared(workload: Workload, windows: dict[float, int], joules: float) -> list[dict[str, Any]]:
    """Both ways at each window length.

    Args:
        workload: what is replayed.
        windows: seconds -> how many windows.
        joules: per call, by the counter over long windows; deviations in per cent are from it.
    """
    rows = []
    for seconds, repeats in windows.items():
        for _ in range(repeats):
            usage = averaged_power(workload, seconds)
            counter = counted_from_idle(workload, seconds)
            for line in (usage, counter):
                if "energy_j" in line:
                    line["deviation_percent"] = 100 * (line["energy_j"] / joules - 1)
            rows.append({"window_s": seconds, "power_usage": usage, "counter": counter})
    return rows


def traced(workload: Workload, seconds: float) -> dict[str, Any]:
    """Instant power as a trace from another process, with idle power before, and the counter."""
    found, reason = measure_energy(workload.replay, min_duration_s=seconds, idle_s=1.0, trace=True)
    if found is None or found["trace"] is None:
        return {"error": reason or "; ".join(found["notes"] if found else ())}
    trace = found["trace"]
    inside = [
        watts
        for at, watts in zip(trace["time_s"], trace["power_w"], strict=True)
        if 0 <= at <= found["duration_s"]
    ]
    return {
        "power_w": found["power"],
        "trace_mean_w": statistics.mean(inside),
        "readings": len(inside),
        "idle_w": found["idle_w"],
        "energy_j": found["energy_j"],
        "trace": trace,
    }


def disturbance(workload: Workload) -> dict[str, Any]:
    """Time per call with the card sampled from another process over that without, in per cent.

    Blocks of both kinds in random order, balanced.
    """
    child = sampler(device_uuid(None), "card")
    call_ms = min(time_replays(workload.replay, 3))
    samples = max(10, round(BLOCK_S * 1000 / call_ms / 4))
    order = [block % 2 == 0 for block in range(BLOCKS)]
    random.Random(0).shuffle(order)
    medians: dict[bool, list[float]] = {True: [], False: []}
    readings = 0
    for sampled in order:
        if sampled:
            child.begin(SAMPLE_S)
        times = [min(time_replays(workload.replay, 4)) for _ in range(samples)]
        if sampled:
            readings += int(child.end()["readings"])
        medians[sampled].append(statistics.median(times))
    on, off = statistics.mean(medians[True]), statistics.mean(medians[False])
    return {
        "percent": 100 * (on / off - 1),
        "sampled_ms": medians[True],
        "alone_ms": medians[False],
        "readings": readings,
        "period_s": SAMPLE_S,
    }
