"""The numbers of a Trace that the rules of `harness.analyze.findings` look at."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from harness.analyze.coverage import coverage
from harness.analyze.host import HostCalls
from harness.analyze.hotspots import ALLOCATE, BLOCKING_COPY, FREE, SYNCHRONISE, call_class
from harness.analyze.intervals import Intervals, gaps_between, union_ns
from harness.analyze.launches import launches
from harness.analyze.overlap import share, shared_ns
from harness.analyze.rules import Number
from harness.analyze.selection import Ints, Mask, ints
from harness.analyze.summaries import kernel_summary
from harness.analyze.work import COMPUTE, NCCL, UNKNOWN, Work, device_work
from harness.errors import NoSignalError
from harness.trace import Trace

NO_CALLS = "the Trace has no API calls"
ONLY_LAUNCHES = "the Trace has no API calls but launches, copies and fills"

_LAUNCHING = ("idle_stream_share_of_launches", "launches", "launch_call_median_ns")
_WAITING = (
    "idle_after_synchronise_ns", "idle_after_synchronise_share_of_wall", "synchronise_calls",
    "synchronise_ns", "synchronise_share_of_span", "allocation_calls", "allocation_ns",
    "allocation_share_of_span", "allocations_per_100_kernels",
)  # fmt: skip
_LAUNCH = re.compile(r"(cuda|cu)(Launch|GraphLaunch|Memcpy|Memset)")


@dataclass
class Evidence:
    """Figures by name, times in ns (``_ns``), shares between 0 and 1 (``_share_of_...``).

    ``wall_ns`` is the sum over the devices of the time from the first to the last activity of any
    kind, and every other device time a sum over the devices of lengths of unions; how many devices
    that are says ``summed_over_devices``. ``span_ns`` is
    the time from the first to the last activity of all devices; host times are lengths of unions
    over the threads within it.

    Attributes:
        numbers: by name; None where the Trace cannot tell.
        why_unknown: by name, the reason for a None.
    """

    numbers: dict[str, Number] = field(default_factory=dict)
    why_unknown: dict[str, str] = field(default_factory=dict)

    def unknown(self, reason: str, *names: str) -> None:
        """Set these to None for this reason."""
        for name in names:
            self.numbers[name] = None
            self.why_unknown[name] = reason


def evidence(trace: Trace) -> Evidence:
    """All numbers of a Trace.

    Raises:
        NoSignalError: it has no kernel and no whole graph with its times.
    """
    found = Evidence()
    work, calls = device_work(trace), HostCalls(trace)
    if not (work.of_kind("kernel") | work.of_kind("graph")).any():
        raise NoSignalError(
            f"the Trace from {trace.info.source} has no kernel with its times",
            fix="record while something runs on a GPU",
        )
    devices = work.device_masks
    _kernels(found, trace, work)
    busy = [work.union(device) for device in devices]
    wall = sum(int(work.ends[one].max() - work.starts[one].min()) for one in devices)
    idle = wall - sum(one.length_ns for one in busy)
    found.numbers |= {
        "summed_over_devices": len(devices),
        "wall_ns": wall,
        "device_idle_ns": idle,
        "device_idle_share_of_wall": share(idle, wall),
    }
    _transfers(found, work, devices, wall)
    if not len(calls):
        found.unknown(NO_CALLS, *_LAUNCHING, *_WAITING)
        return found
    _launches(found, trace)
    if all(_LAUNCH.match(name) for name in calls.names):
        found.unknown(ONLY_LAUNCHES, *_WAITING)
        return found
    _waits(found, work, calls)
    _pauses(found, work, calls, busy)
    return found


def _kernels(found: Evidence, trace: Trace, work: Work) -> None:
    kernel = work.of_kind("kernel")
    lengths = (work.ends - work.starts)[kernel]
    whole = coverage(trace).to_pylist()[0]
    found.numbers |= {
        "kernels": whole["kernels"],
        "kernel_ns": whole["kernel_ns"],
        "kernel_median_ns": float(np.median(lengths)) if len(lengths) else None,
        "kernels_in_graphs": whole["kernels_in_graphs"],
        "graph_share_of_kernels": whole["graph_share_of_kernels"],
        "graph_share_of_kernel_ns": whole["graph_share_of_kernel_ns"],
        "whole_graphs": whole["whole_graphs"],
    }
    if whole["graph_share_of_kernels"] is None:
        found.unknown(
            "the Trace cannot tell which kernels are in graphs",
            "kernels_in_graphs",
            "graph_share_of_kernels",
            "graph_share_of_kernel_ns",
        )
    summary = kernel_summary(trace).slice(0, 1).to_pylist()
    for row in summary:
        found.numbers |= {
            "hot_kernel": row["Name"],
            "hot_kernel_launches": row["Instances"],
            "hot_kernel_ns": row["Total Time (ns)"],
            "hot_kernel_share_of_kernel_ns": share(row["Total Time (ns)"], whole["kernel_ns"]),
        }


def _transfers(found: Evidence, work: Work, devices: list[Mask], wall: int) -> None:
    """Copies of all directions, and NCCL, each against compute of the same device."""
    compute = [work.union(work.of_class(COMPUTE) & device) for device in devices]
    for name, classes in (("copy", work.copy_classes), ("nccl", (NCCL,))):
        moved = [work.union(work.of_class(*classes) & device) for device in devices]
        total = sum(one.length_ns for one in moved)
        hidden = sum(map(shared_ns, moved, compute))
        found.numbers |= {
            f"{name}_ns": total,
            f"{name}_share_of_wall": share(total, wall),
            f"exposed_{name}_ns": total - hidden,
            f"exposed_{name}_share_of_wall": share(total - hidden, wall),
            f"overlapped_share_of_{name}": share(hidden, total),
        }
        what = "copies" if name == "copy" else "NCCL kernels"
        found.why_unknown[f"overlapped_share_of_{name}"] = f"the Trace has no {what}"


def _launches(found: Evidence, trace: Trace) -> None:
    each = launches(trace).each
    if not len(each.call_ns):
        found.unknown("no API call of the Trace put work on a device", *_LAUNCHING)
        return
    found.numbers |= {
        "launches": len(each.call_ns),
        "launch_call_median_ns": float(np.median(each.call_ns)),
        "idle_stream_share_of_launches": float(each.idle.mean()),
    }


def _waits(found: Evidence, work: Work, calls: HostCalls) -> None:
    """Host time in calls that wait or allocate, while the devices work."""
    begin, end = int(work.starts.min()), int(work.ends.max())
    during = (calls.ends > begin) & (calls.starts < end)
    for name, classes in (("synchronise", (SYNCHRONISE,)), ("allocation", (ALLOCATE, FREE))):
        names = [one for one in calls.names if call_class(one) in classes]
        chosen = during & calls.of(names.__contains__)
        starts, ends = np.maximum(calls.starts[chosen], begin), np.minimum(calls.ends[chosen], end)
        length = union_ns(starts, ends)
        found.numbers |= {
            f"{name}_calls": int(chosen.sum()),
            f"{name}_ns": length,
            f"{name}_share_of_span": share(length, end - begin),
        }
    found.numbers["span_ns"] = end - begin
    kernels, allocations = found.numbers["kernels"], found.numbers["allocation_calls"]
    if isinstance(kernels, int) and isinstance(allocations, int) and kernels:
        found.numbers["allocations_per_100_kernels"] = 100 * allocations / kernels


def _pauses(found: Evidence, work: Work, calls: HostCalls, busy: list[Intervals]) -> None:
    """Idle device time in which a process that uses the device came out of a wait: it had nothing
    queued. What the Trace knows no process of may be any process's."""
    waits = calls.of(lambda name: call_class(name) in (SYNCHRONISE, BLOCKING_COPY))
    returned, waiting = calls.ends[waits], ints(calls.rows["process"])[waits]
    processes = ints(work.rows["process"])
    paused = 0
    for union, here in zip(busy, work.device_masks, strict=True):
        users = np.unique(processes[here])
        mine = np.isin(waiting, users) | (waiting == UNKNOWN) | bool((users == UNKNOWN).any())
        paused += _with_one_of(gaps_between(union), np.sort(returned[mine]))
    wall = found.numbers["wall_ns"]
    assert isinstance(wall, int)
    found.numbers |= {
        "idle_after_synchronise_ns": paused,
        "idle_after_synchronise_share_of_wall": share(paused, wall),
    }


def _with_one_of(gaps: Intervals, times: Ints) -> int:
    """Length of the gaps in which one of the times lies, in ns; ``times`` ascending."""
    before = np.searchsorted(times, gaps.starts, side="left")
    until = np.searchsorted(times, gaps.ends, side="right")
    holding = until > before
    return int((gaps.ends - gaps.starts)[holding].sum())
