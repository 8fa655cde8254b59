"""Keep the card busy with replays, and know how many of them ran between two moments."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BATCH_MS = 40.0
"""Work enqueued at once: many polls of a counter long, so that the card does not run dry when one
takes ten times as long as usual, as happens on an H200."""

POLLS_PER_BATCH = 4
DEPTH = 3
"""Batches enqueued ahead."""

MOST_BATCH_CALLS = 300
"""`DEPTH` batches stay below the launch queue's length, about 1,000 entries."""

ANCHORS = 5
"""Events that are waited for at each end, to relate the card's clock to the host's."""


def batch_calls(call_ms: float, poll_ms: float) -> int:
    """How many calls of ``call_ms`` make a batch several polls of ``poll_ms`` long."""
    wanted = max(BATCH_MS, POLLS_PER_BATCH * poll_ms)
    return max(1, min(MOST_BATCH_CALLS, round(wanted / max(call_ms, 1e-6))))


@dataclass(frozen=True)
class Timeline:
    """When how many calls had ended.

    Attributes:
        ends_s: host seconds at which each batch had ended, the beginning first; ascending.
        calls: calls that had ended by then; 0 first.
        ran_dry: how many batches ended with nothing enqueued behind them.
    """

    ends_s: tuple[float, ...]
    calls: tuple[int, ...]
    ran_dry: int = 0

    @property
    def dry_share(self) -> float:
        """Share of the batches after which the card waited for the host."""
        return self.ran_dry / max(1, len(self.ends_s) - 1)

    def ended_by(self, moment_s: float) -> float:
        """Calls that had ended by then, evenly spread within each batch; not whole."""
        after = bisect_right(self.ends_s, moment_s)
        if after == 0:
            return 0.0
        if after == len(self.ends_s):
            return float(self.calls[-1])
        begun, ended = self.ends_s[after - 1], self.ends_s[after]
        share = (moment_s - begun) / (ended - begun)
        return self.calls[after - 1] + share * (self.calls[after] - self.calls[after - 1])


class Feeder:
    """Keeps `DEPTH` batches enqueued on the current stream, each with an event behind it.

    Args:
        replay: enqueues one call, without waiting.
        batch: calls in a batch.
        clock: the polling clock, in seconds.
    """

    def __init__(
        self,
        replay: Callable[[], object],
        batch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replay, self._batch, self._clock = replay, batch, clock
        self._queued: deque[Any] = deque()
        self._ends: list[tuple[float, int]] = []
        self._enqueued = 0
        self._dry = 0
        _wait_for_the_card()
        self._zero = _recorded()
        self._opened = self._anchor()
        self._ends.append((self._opened[0], 0))
        for _ in range(DEPTH):
            self._enqueue()

    @property
    def calls(self) -> int:
        """Calls enqueued so far."""
        return self._enqueued

    def keep_busy(self) -> None:
        """Enqueue a batch for each one that has ended.

        At most `DEPTH` at a time: an operator that is shorter than its launch would never leave.
        """
        ended = 0
        while ended < DEPTH and self._queued[0][0].query():
            self._retire()
            ended += 1
            if not self._queued:
                self._dry += 1
                break
        for _ in range(ended):
            self._enqueue()

    def finish(self) -> Timeline:
        """Wait for the card."""
        while self._queued:
            self._queued[0][0].synchronize()
            self._retire()
        begun, ended = self._opened, self._anchor()
        drift = (ended[1] - begun[1]) / max(ended[0] - begun[0], 1e-9)
        on_host = [at + begun[1] + drift * (at - begun[0]) for at, _ in self._ends]
        return Timeline(tuple(on_host), tuple(calls for _, calls in self._ends), self._dry)

    def _enqueue(self) -> None:
        for _ in range(self._batch):
            self._replay()
        self._enqueued += self._batch
        self._queued.append((_recorded(), self._enqueued))

    def _retire(self) -> None:
        """Keep a number in place of an event, of which the driver has not endlessly many."""
        event, calls = self._queued.popleft()
        self._ends.append((self._since_zero(event), calls))

    def _since_zero(self, event: Any) -> float:
        return float(self._zero.elapsed_time(event)) / 1000

    def _anchor(self) -> tuple[float, float]:
        """A moment by the card's clock, and how far ahead the host's clock is, both in seconds.

        The host can only see an event late, never early: the least lead of several is the truest.
        """
        found = []
        for _ in range(ANCHORS):
            event = _recorded()
            event.synchronize()
            now = self._clock()
            at = self._since_zero(event)
            found.append((now - at, at))
        lead, at = min(found)
        return at, lead


def _recorded() -> Any:
    import torch

    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _wait_for_the_card() -> None:
    import torch

    torch.cuda.synchronize()
