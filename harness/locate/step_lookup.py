"""The steps of a model's Trace, looked up by device and time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.locate.launches import Launches


@dataclass(frozen=True)
class StepTable:
    """How steps were told, and their rows (`harness.analyze.step_table.STEPS`); none: all is one.

    Attributes:
        rule: a sentence for the reader.
        rows: one per step and device.
        notes: what could not be told.
    """

    rule: str
    rows: Sequence[dict[str, Any]] = ()
    notes: tuple[str, ...] = field(default=())

    def of(self, launches: Launches, start_ns: int) -> dict[str, Any] | None:
        """The step of a device in which something started; of several the one that began last."""
        rows = self._by_device.get((launches.process, launches.device), [])
        at = bisect_right(rows, start_ns, key=lambda row: int(row["start_ns"])) - 1
        if at < 0 or start_ns > rows[at]["start_ns"] + rows[at]["wall_ns"]:
            return None
        return rows[at]

    @cached_property
    def _by_device(self) -> dict[tuple[int | None, int | None], list[dict[str, Any]]]:
        devices: dict[tuple[int | None, int | None], list[dict[str, Any]]] = {}
        for row in sorted(self.rows, key=lambda one: int(one["start_ns"])):
            devices.setdefault((row["process"], row["device"]), []).append(row)
        return devices
