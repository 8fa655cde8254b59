"""Events of a Chrome trace by torch.profiler as rows of a Trace."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from harness.trace.schema import OUTSIDE

_DEVICE = {"kernel": "kernel", "gpu_memcpy": "memcpy", "gpu_memset": "memset"}
_CALLS = ("cuda_runtime", "cuda_driver")
_DIRECTION = re.compile(r"\b([HDAP]to[HDAP])\b")

Row = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """Rows for the activities and calls tables, and how many activities have no call."""

    activities: list[Row]
    calls: list[Row]
    unattributed: int


def read_events(document: dict[str, Any], region_prefix: str, process: int) -> Tables:
    """Read device activities and CUDA API calls.

    An activity belongs to the region in which the call with its correlation id began, on the
    thread that opened the region.

    Args:
        document: the parsed file.
        region_prefix: user annotations called ``PREFIX ID`` are regions.
        process: id for activities; Kineto gives the device's number in its place.
    """
    base = int(document.get("baseTimeNanoseconds", 0))
    events = [e for e in document.get("traceEvents", ()) if e.get("ph") == "X"]
    calls = [_call(e, base) for e in events if e.get("cat") in _CALLS]
    calls.sort(key=lambda row: row["start_ns"])
    _put_into_regions(calls, _marks(events, region_prefix, base))
    by_correlation = {row["correlation"]: row["region"] for row in calls}
    activities = [_activity(e, base, process) for e in events if e.get("cat") in _DEVICE]
    activities.sort(key=lambda row: (row["start_ns"], row["correlation"] or 0))
    unattributed = 0
    for row in activities:
        unattributed += row["correlation"] not in by_correlation
        row["region"] = row["launched_in"] = by_correlation.get(row["correlation"], OUTSIDE)
    return Tables(activities, calls, unattributed)


def _span(event: Row, base: int) -> tuple[int, int]:
    """Start and end in ns; ``ts`` and ``dur`` are µs, ``ts`` counted from ``base``."""
    start = base + round(float(event["ts"]) * 1000)
    return start, start + round(float(event.get("dur", 0)) * 1000)


def _call(event: Row, base: int) -> Row:
    start, end = _span(event, base)
    return {
        "name": event["name"],
        "start_ns": start,
        "end_ns": end,
        "process": event.get("pid"),
        "thread": event.get("tid"),
        "correlation": event.get("args", {}).get("correlation"),
        "region": OUTSIDE,
    }


def _activity(event: Row, base: int, process: int) -> Row:
    args = event.get("args", {})
    kind = _DEVICE[event["cat"]]
    start, end = _span(event, base)
    row = {
        "kind": kind,
        "name": activity_name(kind, event["name"]),
        "start_ns": start,
        "end_ns": end,
        "process": process,
        "device": args.get("device"),
        "context": args.get("context"),
        "stream": args.get("stream"),
        "correlation": args.get("correlation"),
        "graph": args.get("graph id") or None,
        "graph_node": args.get("graph node id") or None,
        "bytes": args.get("bytes"),
    }
    if kind == "kernel":
        row |= {
            "grid": args.get("grid"),
            "block": args.get("block"),
            "registers": args.get("registers per thread"),
            "shared_dynamic_bytes": args.get("shared memory"),
        }
    return row


def activity_name(kind: str, name: str) -> str:
    """The name of a Trace's activity for one of Kineto's: a copy is named by its direction."""
    if kind == "memset":
        return "memset"
    direction = _DIRECTION.search(name) if kind == "memcpy" else None
    return direction[1] if direction else name


def _marks(events: list[Row], prefix: str, base: int) -> list[tuple[int, int, int, int]]:
    """(start, end, thread, region id) of every region, outer ones before inner ones."""
    pattern = re.compile(re.escape(prefix) + r" (\d+)")
    marks = []
    for event in events:
        found = pattern.fullmatch(str(event.get("name")))
        if found and event.get("cat") == "user_annotation":
            start, end = _span(event, base)
            marks.append((start, end, event["tid"], int(found[1])))
    # Equal starts: the longer one is around the other.
    return sorted(marks, key=lambda mark: (mark[0], -mark[1], mark[3]))


def _put_into_regions(calls: list[Row], marks: list[tuple[int, int, int, int]]) -> None:
    """Set the region of each call, given in start order; inner regions overwrite outer ones."""
    threads: dict[Any, list[Row]] = {}
    for row in calls:
        threads.setdefault(row["thread"], []).append(row)
    starts = {thread: [row["start_ns"] for row in rows] for thread, rows in threads.items()}
    for start, end, thread, region in marks:
        if thread not in threads:
            continue
        first = bisect_left(starts[thread], start)
        after = bisect_left(starts[thread], end)
        for row in threads[thread][first:after]:
            row["region"] = region
