"""Time calls by CUDA events on the current stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from ops.sides import Side

SAMPLE_MS = 2.0
"""A sample lasts at least this long: the resolution of an event is about 0.5 us, so 0.03 %."""

MOST_CALLS = 64
"""Calls in one sample: keeps the launch queue (about 1,000 entries) from filling."""


def calls_per_sample(call_ms: float, target_ms: float = SAMPLE_MS) -> int:
    """How many calls of ``call_ms`` milliseconds make a sample long enough, 1 to MOST_CALLS."""
    if call_ms <= 0:
        return MOST_CALLS
    return max(1, min(MOST_CALLS, math.ceil(target_ms / call_ms)))


@dataclass(frozen=True)
class EventSample:
    """A sample on its way: one or more event pairs around ``calls`` calls altogether."""

    pairs: tuple[tuple[torch.cuda.Event, torch.cuda.Event], ...]
    calls: int

    def ms(self) -> float:
        """Milliseconds per call; waits for the last event."""
        self.pairs[-1][1].synchronize()
        total = sum(float(start.elapsed_time(end)) for start, end in self.pairs)
        return total / self.calls


def sample_replays(replay: Callable[[], object], calls: int) -> EventSample:
    """Enqueue ``calls`` calls back to back between two events, without waiting for them."""
    start, end = _events()
    start.record()
    for _ in range(calls):
        replay()
    end.record()
    return EventSample(((start, end),), calls)


def sample_replay(replay: Callable[[], object], calls: int) -> EventSample:
    """Enqueue one replay of a graph that holds ``calls`` calls, without waiting for it."""
    return EventSample(sample_replays(replay, 1).pairs, calls)


def sample_eager(side: Side, calls: int) -> EventSample:
    """Enqueue ``calls`` eager calls, each between its own events: resets are not timed."""
    pairs = []
    for _ in range(calls):
        start, end = _events()
        side.reset()
        with side.context():
            start.record()
            side.call()
            end.record()
        pairs.append((start, end))
    return EventSample(tuple(pairs), calls)


def time_replays(replay: Callable[[], object], samples: int, calls: int = 1) -> list[float]:
    """``samples`` figures in milliseconds per call, all enqueued before the first is read."""
    taken = [sample_replays(replay, calls) for _ in range(samples)]
    return [sample.ms() for sample in taken]


def _events() -> tuple[torch.cuda.Event, torch.cuda.Event]:
    import torch

    return torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
