"""Energy per call from the card's energy counter, read between two of its ticks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from harness.errors import EXIT_UNDECIDED, HarnessError, InputError
from harness.measure.energy_window import (
    FEWEST_CALLS,
    CardReader,
    energy_window,
    figures,
    notes_on,
)
from harness.measure.events import time_replays
from harness.measure.feed import Feeder, batch_calls
from harness.measure.instant_power import PowerTrace, trace_power
from harness.measure.nvml import device_uuid, nvml
from harness.measure.sampler import SamplerError
from harness.record.state import torch_profiler_running

if TYPE_CHECKING:
    import torch

IDLE_SETTLE_S = 0.5
"""Between the last work and reading idle power: the readings lag by 0.1 s and more."""

IDLE_POLL_S = 0.002


class TracingError(HarnessError):
    """Energy was asked for while a profiler runs (exit code 3 where nobody handles it)."""

    exit_code = EXIT_UNDECIDED


def measure_energy(
    replay: Callable[[], object],
    device: torch.device | str | int | None = None,
    *,
    min_duration_s: float | None = None,
    idle_s: float = 0.0,
    trace: bool = False,
) -> tuple[dict[str, Any] | None, str]:
    """Replay back to back and read the card's energy counter.

    Args:
        replay: enqueues one call on the current stream of ``device``, without waiting.
        device: a torch device, its name or index, or None for the current one. Its card is found
            by UUID, so that each rank reads its own.
        min_duration_s: least time between first and last tick; None takes 50 ticks. The
            window is longer where the operator needs it for five calls.
        idle_s: seconds of idling, before the work, over which idle power is read; 0 for none.
        trace: also sample instant power from another process.

    Returns:
        None and why there is no figure; or, and an empty text:
        ``power``: mean W. ``power_limit``: W or None. ``energy_j``: J per call.
        ``duration_s``, ``ticks``: the window. ``calls``: made in all.
        ``calls_between_ticks``: those that ran within the window, by CUDA events; not whole.
        ``replay_ms``: window over calls. ``quantisation``: largest relative error from not
        knowing when exactly the counter moved. ``tick_s``: median time between two ticks.
        ``source``: ``energy counter``, or ``integrated instant power`` on a card whose
        counter is missing or stands still.
        ``uuid``: of the card. ``ran_dry``: how often the card was found to have nothing to do.
        ``idle_w``: idle power right before, with clocks as the work before left them, or None.
        ``trace``: ``time_s`` since the window began and ``power_w``, or None.
        ``traced_before``: whether this process has traced. ``notes``: what a reader should know.

    Raises:
        InputError: a duration is negative.
    """
    for name, value in (("min_duration_s", min_duration_s or 0.0), ("idle_s", idle_s)):
        if not 0 <= value < math.inf:
            raise InputError(f"{name} is {value!r}", fix="give seconds, 0 or more")
    try:
        _refuse_under_a_profiler()
        reader = _reader(device)
        with _on(device):
            idle_w = _idle_w(reader, idle_s) if idle_s else None
            found = _measure(replay, reader, min_duration_s, trace)
    except HarnessError as error:
        return None, str(error)
    return found | {"idle_w": idle_w}, ""


def _refuse_under_a_profiler() -> None:
    if torch_profiler_running():
        raise TracingError(
            "a torch.profiler is running, which makes the card wait for the host",
            fix="measure energy outside of it",
        )


def _reader(device: torch.device | str | int | None) -> CardReader:
    return CardReader(nvml(), device_uuid(device))


def _on(device: torch.device | str | int | None) -> Any:
    import torch

    return torch.cuda.device(device)


def _measure(
    replay: Callable[[], object], reader: CardReader, min_duration_s: float | None, trace: bool
) -> dict[str, Any]:
    call_s = min(time_replays(replay, 3)) / 1000
    batch = batch_calls(call_s * 1000, _poll_ms(reader))
    with ExitStack() as stack:
        # The sampling process starts first: the card would run dry meanwhile.
        power, untraced = _trace(stack, reader.uuid) if trace else (None, [])
        feeder = Feeder(replay, batch, reader.clock)
        try:
            window = energy_window(reader, feeder.keep_busy, min_duration_s, FEWEST_CALLS * call_s)
        finally:
            timeline = feeder.finish()
    return figures(window, timeline, reader) | {
        "calls": feeder.calls,
        "trace": power.plain(window.start_s) if power else None,
        "notes": [*notes_on(window, timeline), *untraced],
    }


def _trace(stack: ExitStack, uuid: str) -> tuple[PowerTrace | None, list[str]]:
    try:
        return stack.enter_context(trace_power(uuid)), []
    except SamplerError as error:
        return None, [f"no trace of power: {error.what}"]


def _idle_w(reader: CardReader, seconds: float) -> float:
    import torch

    torch.cuda.synchronize()
    time.sleep(IDLE_SETTLE_S)
    window = energy_window(reader, lambda: time.sleep(IDLE_POLL_S), seconds)
    return window.joules / window.seconds


def _poll_ms(reader: CardReader) -> float:
    start = reader.clock()
    reader.card.energy_mj(reader.uuid)
    return (reader.clock() - start) * 1000
