"""One window of energy: by the counter or, where that fails, by instant power; and its figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from harness.measure.feed import Timeline
from harness.measure.instant_power import integrate_power
from harness.measure.nvml import Nvml
from harness.measure.ticks import CounterError, Window, read_between_ticks
from harness.record.state import has_traced, traced_by

COUNTER = "energy counter"
INTEGRATED = "integrated instant power"

MIN_TICKS = 50
"""Ticks in a window when the caller names no duration: a tick is seen up to some 3 ms late, which
is below 0.1 % of the 5 s that they take."""

INSTANT_S = 5.0
"""The same for instant power, which has no ticks to count."""

FEWEST_CALLS = 5
"""Calls that a window holds at least: its ends cut through a call, whose power is not even."""

DRY_SHARE = 0.01
"""Share of batches from which on a card that waits for the host is worth a note."""


@dataclass(frozen=True)
class CardReader:
    """The readings of the card with that UUID, and the clock (seconds) that they are timed by."""

    card: Nvml
    uuid: str
    clock: Callable[[], float] = time.monotonic

    def energy_mj(self) -> int:
        """The counter. Raises CounterError where there is none."""
        found = self.card.energy_mj(self.uuid)
        if found is None:
            raise CounterError("the card has no energy counter", fix="use a whole data-centre GPU")
        return found

    def power_w(self) -> float | None:
        """Instant power in W, where the card tells it."""
        return self.card.instant_power_w(self.uuid)


def energy_window(
    reader: CardReader,
    keep_busy: Callable[[], None],
    min_duration_s: float | None,
    needed_s: float = 0.0,
) -> Window:
    """Energy between two moments while ``keep_busy`` is called again and again.

    Args:
        reader: of the card.
        keep_busy: enqueues work, or waits.
        min_duration_s: as the caller of `measure_energy` gave it; None takes `MIN_TICKS` ticks.
        needed_s: seconds that it has to last all the same.

    Raises:
        CounterError: neither the counter nor instant power yields energy.
    """
    seconds = max(min_duration_s or 0.0, needed_s)
    ticks = MIN_TICKS if min_duration_s is None else 1
    try:
        found = read_between_ticks(
            reader.energy_mj,
            keep_busy,
            min_seconds=seconds,
            min_ticks=ticks,
            clock=reader.clock,
        )
        return replace(found, source=COUNTER)
    except CounterError as problem:
        if min_duration_s is None:
            seconds = max(INSTANT_S, needed_s)
        try:
            found = integrate_power(reader.power_w, keep_busy, seconds, reader.clock)
        except CounterError as other:
            raise CounterError(f"{problem.what}, and {other.what}", fix=other.fix) from problem
        return replace(found, source=INTEGRATED, notes=(f"{problem.what}: {INTEGRATED}",))


def figures(window: Window, timeline: Timeline, reader: CardReader) -> dict[str, Any]:
    """What the window says of one call; units in `harness.measure.energy.measure_energy`.

    Raises:
        CounterError: no call ran within the window.
    """
    calls = timeline.ended_by(window.end_s) - timeline.ended_by(window.start_s)
    if not calls > 0:
        raise CounterError(f"no call ran within {window.seconds:.3g} s", fix="give more seconds")
    return {
        "power": window.joules / window.seconds,
        "power_limit": reader.card.power_limit_w(reader.uuid),
        "energy_j": window.joules / calls,
        "duration_s": window.seconds,
        "ticks": window.ticks,
        "calls_between_ticks": calls,
        "replay_ms": window.seconds / calls * 1000,
        "tick_s": window.tick_s,
        "quantisation": window.quantisation,
        "source": window.source,
        "uuid": reader.uuid,
        "ran_dry": timeline.ran_dry,
        "traced_before": has_traced(),
    }


def notes_on(window: Window, timeline: Timeline) -> list[str]:
    """What a reader of the figures should know."""
    notes = list(window.notes)
    if has_traced():
        by = ", ".join(sorted(traced_by()))
        notes.append(f"energy measured after tracing in this process ({by}): launches are slower")
    if timeline.dry_share > DRY_SHARE:
        notes.append(
            f"the card waited for the host after {timeline.dry_share:.0%} of the batches, so that "
            "idling is in the energy: put more calls into one graph (repeat_n)"
        )
    return notes
