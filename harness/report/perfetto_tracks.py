"""Tracks of a Perfetto trace: which process and thread number each gets, and its name."""

from __future__ import annotations

from typing import Any

from harness.report.perfetto_events import Event

FIRST_MADE_UP = 1_000_000_000
"""Numbers for what has no number of its own begin here, above any id of Linux (2^22)."""

_LARGEST_ID = FIRST_MADE_UP - 1


class Tracks:
    """Hands out numbers of processes and threads, and remembers their names."""

    def __init__(self) -> None:
        self._next = FIRST_MADE_UP
        self._processes: dict[tuple[Any, ...], int] = {}
        self._threads: dict[tuple[Any, ...], int] = {}
        self._used: set[int] = set()
        self.metadata: list[Event] = []

    def process(self, key: tuple[Any, ...], name: str, own: int | None = None) -> int:
        """The pid of what ``key`` stands for.

        Args:
            key: identifies it.
            name: shown.
            own: its id, to be used where it is one.
        """
        if key not in self._processes:
            pid = self._number(own)
            self._processes[key] = pid
            self._describe("process", pid, 0, name, len(self._processes))
        return self._processes[key]

    def thread(self, pid: int, key: tuple[Any, ...], name: str, own: int | None = None) -> int:
        """The tid of a row of a process; arguments as `process`."""
        key = (pid, *key)
        if key not in self._threads:
            tid = self._number(own)
            self._threads[key] = tid
            self._describe("thread", pid, tid, name, len(self._threads))
        return self._threads[key]

    def _number(self, own: int | None) -> int:
        if own is not None and 0 <= own <= _LARGEST_ID:
            return own
        self._next += 1
        return self._next

    def _describe(self, what: str, pid: int, tid: int, name: str, order: int) -> None:
        place = {"ph": "M", "pid": pid, "tid": tid, "ts": 0}
        self.metadata.append({"name": f"{what}_name", **place, "args": {"name": name}})
        self.metadata.append({"name": f"{what}_sort_index", **place, "args": {"sort_index": order}})
