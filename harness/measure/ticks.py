"""An energy counter that moves in ticks, read from one observed tick to a later one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from harness.errors import EXIT_UNDECIDED, HarnessError

TICK_TIMEOUT_S = 2.0
"""A counter that has not moved for this long (a tick takes about 0.1 s) is not a counter."""

SETTLE_TICKS = 2
"""Ticks that pass before a window begins: the first may hold time from before the work."""

LATE_S = 0.02
"""A tick whose moment is less certain than this, half of the time between two polls, does not
begin or end a window: it was seen late, because the poll or the work between two polls waited."""

MOST_LATE = 5
"""Late ticks after which one is taken all the same; the quantisation error then says so."""

MOST_RESTARTS = 3


class CounterError(HarnessError):
    """A reading of the card yields no energy (exit code 3 where nobody handles it)."""

    exit_code = EXIT_UNDECIDED


@dataclass(frozen=True)
class Tick:
    """The counter was seen to have moved.

    Attributes:
        at_s: when it moved: the middle between the polls before and after, by the polling clock.
        slack_s: it moved within ``at_s`` +- ``slack_s``.
        value_mj: what it stood at afterwards.
    """

    at_s: float
    slack_s: float
    value_mj: int

    @property
    def late(self) -> bool:
        """Whether its moment is too uncertain to begin or end a window."""
        return self.slack_s > LATE_S


@dataclass(frozen=True)
class Window:
    """Energy between two moments.

    Attributes:
        joules: J between them, above 0.
        start_s, end_s: by the polling clock, in seconds.
        ticks: how many times the reading was seen to move after ``start_s``, the last included. A
            poll that came two ticks late saw one of them.
        tick_s: median seconds between two observed ticks.
        quantisation: largest relative error of power from not knowing the exact moments.
        notes: what a reader should know.
        source: which reading it came from.
    """

    joules: float
    start_s: float
    end_s: float
    ticks: int
    tick_s: float
    quantisation: float
    notes: tuple[str, ...] = ()
    source: str = ""

    @property
    def seconds(self) -> float:
        """Length."""
        return self.end_s - self.start_s


def read_between_ticks(
    counter: Callable[[], int],
    keep_busy: Callable[[], None],
    *,
    min_seconds: float = 0.0,
    min_ticks: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> Window:
    """Poll a counter of mJ from one tick to a later one.

    A counter that steps back (it was reset, or wrapped) starts the window anew.

    Args:
        counter: reads it.
        keep_busy: called between polls; enqueues work.
        min_seconds: least time between the two ticks.
        min_ticks: fewest ticks observed after the first.
        clock: returns seconds.

    Raises:
        CounterError: the counter stands still for `TICK_TIMEOUT_S`, or keeps stepping back.
    """
    watch = _Watch(counter, clock)
    for attempt in range(MOST_RESTARTS + 1):
        ticks = _window(watch, keep_busy, min_seconds, max(1, min_ticks))
        if ticks is not None:
            return _between(ticks, attempt)
    raise CounterError(
        f"the energy counter stepped back {MOST_RESTARTS + 1} times", fix="check the driver"
    )


class _Watch:
    """Polls the counter; knows when the last poll began."""

    def __init__(self, counter: Callable[[], int], clock: Callable[[], float]) -> None:
        self._counter, self._clock = counter, clock
        self._began = clock()
        self._value = counter()
        self._moved = clock()

    def poll(self) -> tuple[Tick | None, bool]:
        """The tick, if the counter moved since the last poll, and whether it stepped back."""
        before, self._began = self._began, self._clock()
        value, now = self._counter(), self._clock()
        moved, back = value != self._value, value < self._value
        self._value = value
        if moved:
            self._moved = now
            return Tick((before + now) / 2, (now - before) / 2, value), back
        if now - self._moved > TICK_TIMEOUT_S:
            raise CounterError(
                f"the energy counter did not move for {TICK_TIMEOUT_S} s",
                fix="use a whole data-centre GPU",
            )
        return None, False


def _window(
    watch: _Watch, keep_busy: Callable[[], None], min_seconds: float, min_ticks: int
) -> list[Tick] | None:
    """Observed ticks, the first and the last of them usable as ends; None after a step back."""
    passed, late, ticks = 0, 0, list[Tick]()
    while True:
        keep_busy()
        tick, back = watch.poll()
        if back:
            return None
        if tick is None:
            continue
        passed += 1
        usable = not tick.late or late >= MOST_LATE
        late += tick.late
        if ticks or (usable and passed > SETTLE_TICKS):
            ticks.append(tick)
        long_enough = len(ticks) > min_ticks and tick.at_s - ticks[0].at_s >= min_seconds
        if long_enough and usable:
            return ticks


def _between(ticks: list[Tick], restarts: int) -> Window:
    first, last = ticks[0], ticks[-1]
    gaps = [later.at_s - one.at_s for one, later in pairwise(ticks)]
    seconds = last.at_s - first.at_s
    times = "once" if restarts == 1 else f"{restarts} times"
    notes = [f"the energy counter stepped back {times}; measured again"] if restarts else []
    return Window(
        (last.value_mj - first.value_mj) / 1000,
        first.at_s,
        last.at_s,
        len(gaps),
        statistics.median(gaps),
        (first.slack_s + last.slack_s) / seconds,
        tuple(notes),
    )
