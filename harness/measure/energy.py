"""Energy per call from the card's energy counter, read between two of its ticks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.measure.events import time_replays
from harness.measure.nvml import Nvml, nvml

if TYPE_CHECKING:
    import torch

BATCH_MS = 10.0
"""Work enqueued at once: several polls of the counter long, so the card never runs dry."""

MOST_BATCH_CALLS = 400
"""Two batches stay below the launch queue's length, about 1,000 entries."""

TICK_TIMEOUT_S = 2.0
"""A counter that has not moved for this long (a tick takes about 0.1 s) is not a counter."""


@dataclass(frozen=True)
class Window:
    """The counter between its first and its last observed tick: J, s, and ticks between."""

    joules: float
    seconds: float
    ticks: int


def measure_energy(
    replay: Callable[[], object],
    device: torch.device | str | int | None = None,
    *,
    min_duration_s: float = 1.0,
) -> tuple[dict[str, Any] | None, str]:
    """Replay back to back and read the energy counter.

    Args:
        replay: enqueues one call on the current stream of ``device``, without waiting.
        device: a torch device, its name or index, or None for the current one.
        min_duration_s: least time between first and last tick.

    Returns:
        ``power`` in W, ``power_limit`` in W or None, ``energy_j`` per call, ``duration_s`` and
        ``ticks`` between which power was taken, ``calls`` made, and ``quantisation``, the largest
        relative error from ticks being seen late; or None and why there is no figure.
    """
    try:
        card = nvml()
        if card.energy_mj(device) is None:
            return None, "the card has no energy counter"
        return _measure(replay, card, device, min_duration_s)
    except HarnessError as error:
        return None, str(error)


def read_between_ticks(
    counter: Callable[[], int],
    keep_busy: Callable[[], None],
    min_duration_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Window | None:
    """Poll a counter of mJ from one tick to a later one; None when it stops ticking.

    Args:
        counter: reads it.
        keep_busy: called between polls; enqueues work.
        min_duration_s: least time between the two ticks.
        clock: returns seconds.
    """
    ticks: list[tuple[float, int]] = []
    last, moved = counter(), clock()
    while not ticks or ticks[-1][0] - ticks[0][0] < min_duration_s:
        keep_busy()
        value, now = counter(), clock()
        if value != last:
            ticks.append((now, value))
            last, moved = value, now
        elif now - moved > TICK_TIMEOUT_S:
            return None
    (start, first), (end, final) = ticks[0], ticks[-1]
    return Window((final - first) / 1000, end - start, len(ticks) - 1)


class _Feeder:
    """Keeps two batches enqueued, and knows what a call took while it did."""

    def __init__(self, replay: Callable[[], object], batch: int) -> None:
        self._replay, self._batch = replay, batch
        self._queued: deque[torch.cuda.Event] = deque()
        self._batches = 0
        self._first = self._enqueue()
        self._last = self._enqueue()

    def keep_busy(self) -> None:
        """Enqueue a batch for each one that has ended."""
        while self._queued[0].query():
            self._queued.popleft()
            self._last = self._enqueue()

    def finish(self) -> tuple[int, float]:
        """Wait; calls made in all, and seconds per call between the first and last batch's end."""
        self._last.synchronize()
        calls = (self._batches - 1) * self._batch
        return self._batches * self._batch, self._first.elapsed_time(self._last) / 1000 / calls

    def _enqueue(self) -> torch.cuda.Event:
        import torch

        for _ in range(self._batch):
            self._replay()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._queued.append(event)
        self._batches += 1
        return event


def _measure(
    replay: Callable[[], object],
    card: Nvml,
    device: torch.device | str | int | None,
    min_duration_s: float,
) -> tuple[dict[str, Any] | None, str]:
    call_ms = min(time_replays(replay, 3))
    batch = max(1, min(MOST_BATCH_CALLS, round(BATCH_MS / max(call_ms, 1e-6))))
    polled = _seconds(lambda: card.energy_mj(device))
    feeder = _Feeder(replay, batch)
    window = read_between_ticks(
        lambda: card.energy_mj(device) or 0, feeder.keep_busy, min_duration_s
    )
    calls, call_s = feeder.finish()
    if window is None:
        return None, f"the energy counter did not move for {TICK_TIMEOUT_S} s"
    power = window.joules / window.seconds
    return {
        "power": power,
        "power_limit": card.power_limit_w(device),
        "energy_j": power * call_s,
        "duration_s": window.seconds,
        "ticks": window.ticks,
        "calls": calls,
        "quantisation": 2 * polled / window.seconds,
    }, ""


def _seconds(call: Callable[[], object]) -> float:
    start = time.monotonic()
    call()
    return time.monotonic() - start
