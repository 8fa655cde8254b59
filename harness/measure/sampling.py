"""What a sampler keeps of its readings: bounded, however long it runs. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from harness.errors import HarnessError
from harness.measure.nvml import Nvml

MOST_READINGS = 8192
"""Readings that a power trace holds before every second one is dropped: at 20 ms, 2.7 minutes."""

RANGED = ("sm_clock_mhz", "memory_clock_mhz", "temperature_c", "power_limit_w")
"""Readings of the card that are kept as [least, most]."""


class NoReadingError(HarnessError):
    """The card does not offer what was to be sampled (exit code 2)."""


class Keeper(Protocol):
    """Keeps readings of one kind."""

    def add(self, at_s: float) -> None:
        """Read now, at ``at_s`` by ``time.monotonic``."""

    def result(self) -> dict[str, Any]:
        """What was kept, as JSON."""


class PowerKeeper:
    """POWER_INSTANT over time; drops every second reading when full, so that the rest still covers
    all of the time."""

    def __init__(self, card: Nvml, uuid: str, period_s: float, most: int = MOST_READINGS) -> None:
        self._card, self._uuid = card, uuid
        self._period_s, self._most = period_s, most
        self._times: list[float] = []
        self._watts: list[float] = []

    def add(self, at_s: float) -> None:
        """Read, unless the last reading is younger than the period."""
        if self._times and at_s - self._times[-1] < 0.9 * self._period_s:
            return
        watts = self._card.instant_power_w(self._uuid)
        if watts is None:
            raise NoReadingError(
                "the card does not tell its instant power", fix="use a whole data-centre GPU"
            )
        self._times.append(at_s)
        self._watts.append(watts)
        if len(self._times) >= self._most:
            self._times, self._watts = self._times[::2], self._watts[::2]
            self._period_s *= 2

    def result(self) -> dict[str, Any]:
        """``times_s``, ``watts`` and the ``period_s`` that they ended at."""
        return {"times_s": self._times, "watts": self._watts, "period_s": self._period_s}


class CardKeeper:
    """The card's state as ranges and unions."""

    def __init__(self, card: Nvml, uuid: str, period_s: float) -> None:
        self._card, self._uuid = card, uuid
        self._readings = 0
        self._ranges: dict[str, list[float]] = {}
        self._reasons: set[str] = set()
        self._processes: set[int] = set()
        self._throttled = False

    def add(self, at_s: float) -> None:
        """Read."""
        seen: Mapping[str, Any] = self._card.snapshot(self._uuid)
        self._readings += 1
        for name in RANGED:
            value = seen[name]
            if value is not None:
                least, most = self._ranges.get(name, [value, value])
                self._ranges[name] = [min(least, value), max(most, value)]
        self._reasons.update(seen["clock_event_reasons"] or ())
        self._processes.update(seen["process_ids"] or ())
        self._throttled |= bool(seen["throttled"])

    def result(self) -> dict[str, Any]:
        """``readings``, how many; [least, most] of `RANGED`; every clock event reason and process
        that was seen; whether the card was throttled at any of them."""
        return {
            "readings": self._readings,
            **self._ranges,
            "clock_event_reasons": sorted(self._reasons),
            "process_ids": sorted(self._processes),
            "throttled": self._throttled,
        }


KEEPERS: dict[str, Callable[[Nvml, str, float], Keeper]] = {
    "power": PowerKeeper,
    "card": CardKeeper,
}
"""What a sampler can keep, by name."""
