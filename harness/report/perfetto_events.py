"""Events of the Trace Event Format, with times in ns until they are written."""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]


def span(
    category: str, name: str, pid: int, tid: int, start: int, end: int, args: dict[str, Any]
) -> Event:
    """A slice, phase ``X``."""
    return {
        "ph": "X",
        "cat": category,
        "name": name,
        "pid": pid,
        "tid": tid,
        "ts": start,
        "dur": end - start,
        "args": args,
    }


def flow(phase: str, number: int, pid: int, tid: int, time: int) -> Event:
    """One end of an arrow: phase ``s`` at the call, ``f`` at what it launched."""
    event = {
        "ph": phase,
        "id": number,
        "cat": "ac2g",
        "name": "ac2g",
        "pid": pid,
        "tid": tid,
        "ts": time,
    }
    return event | {"bp": "e"} if phase == "f" else event
