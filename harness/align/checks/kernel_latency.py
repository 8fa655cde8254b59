"""Does each kernel take as long on both sides, as far as its own noise lets one say?

Both sides are recorded one after the other and traced, at clocks that nobody locked. What moves
all kernels alike says something about the clocks and is left to the check `latency`, which is
interleaved and untraced; here each kernel is held against the typical one. What moves some kernels
may be clocks too, and is open.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.align.checks.common import limited, skipped
from harness.align.checks.kernel_clocks import (
    ELSEWHERE,
    ELSEWHERE_SHORT,
    LONG_US,
    TICK_NS,
    Difference,
    beyond,
    clocks_may_have_done_it,
    typical_shift,
)
from harness.align.durations import Floats, Ints, device_times, launch_ns
from harness.align.model import CheckResult, Status
from harness.align.noise import difference
from harness.align.observation import Observation
from harness.trace import Trace

NAME = "kernel latency"

FEWEST_FORWARDS = 5
"""Forwards of each side from which a kernel's noise is known. Of 1,000 random splits of a recording
3 name a kernel with three a side, 1 with five, none with ten (prefill; none at all in decode). Five
find a kernel of 5 us or more that takes a tenth longer in a third of the splits, ten in three of
four; of twenty, the two fastest and two slowest count for nothing (`harness.align.noise`)."""

CONFIDENCE = 0.99
"""That none of all kernels is named by chance alone (Bonferroni)."""


def kernel_latency(observed: Observation) -> CheckResult:
    """No matched kernel's interval of mock / reference lies wholly beyond what memory explains.

    Open where clocks may have done it (`harness.align.checks.kernel_clocks`), and where all kernels
    take longer by one factor and nothing was measured that could judge that.
    """
    assert observed.reference is not None
    replay = observed.mode == "graph replay"
    sides = (observed.mock, observed.reference)
    forwards = [side.replay_forwards if replay else side.eager_forwards for side in sides]
    mock, reference = (launch_ns(each) for each in forwards)
    data: dict[str, Any] = {
        side.label: _figures(each) for side, each in zip(sides, forwards, strict=True)
    }
    if any(np.isnan(each).all() for each in (mock, reference)):
        return skipped(NAME, "the recorder gives no times")
    one, other = _matched(observed)
    if not len(one):
        return CheckResult(NAME, Status.SKIPPED, "no two launches have one name", data=data)
    timed = _complete(mock)[one] & _complete(reference)[other]
    data["without_times"] = int((~timed).sum())
    if not timed.any():
        return skipped(NAME, "no matched launch has times on both sides")
    rows = np.stack([one[timed], other[timed]], axis=1)
    measured = observed.pair is not None
    if min(len(mock), len(reference)) < FEWEST_FORWARDS:
        return _without_noise(mock, reference, rows, measured, data)
    found, typical = differences(mock, reference, rows, observed.keys[0])
    return _result(found, typical, measured, data)


def _matched(observed: Observation) -> list[Ints]:
    """Columns of the mock, and of the reference, of each launch that both have."""
    parts = [pair.matched_columns() for pair in observed.matching]
    return [np.concatenate([part[side] for part in parts]) for side in (0, 1)]


def _complete(durations: Floats) -> npt.NDArray[np.bool_]:
    """Which launches have a duration in every forward."""
    return np.asarray(~np.isnan(durations).any(axis=0), np.bool_)


def differences(
    mock: Floats, reference: Floats, rows: Sequence[tuple[int, int]] | Ints, keys: Sequence[str]
) -> tuple[list[Difference], float]:
    """Each matched launch, and the ratio of the typical one.

    The interval is that of `harness.align.noise.difference` of the logarithms, at a level shared by
    all launches.

    Args:
        mock, reference: ns, shape (forwards, launches).
        rows: (column in ``mock``, column in ``reference``) of each pair; at least one.
        keys: identity of each column of ``mock``.
    """
    one, other = np.asarray(rows, np.int64).T
    ours, theirs = mock[:, one], reference[:, other]
    found = difference(
        *(np.log(np.maximum(each, TICK_NS)) for each in (ours, theirs)),
        confidence=1 - (1 - CONFIDENCE) / len(one),
        least=(_step(ours), _step(theirs)),
    )
    typical = typical_shift(found.shift)
    low, high = (np.exp(found.shift - typical + sign * found.half) for sign in (-1, 1))
    medians = [np.median(each, axis=0) / 1000 for each in (ours, theirs)]
    figures = zip(*(each.tolist() for each in (*medians, low, high)), strict=True)
    factor = math.exp(typical)
    return [
        Difference(keys[at], ours_us, theirs_us, least, most, factor)
        for at, (ours_us, theirs_us, least, most) in zip(one.tolist(), figures, strict=True)
    ], factor


def _step(durations: Floats) -> Floats:
    """Standard deviation of a logarithm that a timer in steps of `TICK_NS` gives: it is uniform
    within one, TICK_NS / sqrt(12)."""
    found: Floats = TICK_NS / math.sqrt(12) / np.maximum(np.median(durations, axis=0), TICK_NS)
    return found


def _without_noise(
    mock: Floats, reference: Floats, rows: Ints, measured: bool, data: dict[str, Any]
) -> CheckResult:
    """What too few forwards allow one to say: nothing of one kernel, the factor of all."""
    text = f"{min(len(mock), len(reference))} forwards launch the same, and noise needs "
    text += f"{FEWEST_FORWARDS}{_untimed(data)}"
    medians = [np.median(each, axis=0) for each in (mock[:, rows[:, 0]], reference[:, rows[:, 1]])]
    ours, theirs = (np.log(np.maximum(each, TICK_NS)) for each in medians)
    typical = math.exp(float(np.median(ours - theirs)))
    data["typical_ratio"] = typical
    if measured or not beyond(typical):
        return CheckResult(NAME, Status.SKIPPED, text, data=data)
    return CheckResult(NAME, Status.INCONCLUSIVE, f"{_all_moved(typical)}; {text}", data=data)


def _result(
    found: list[Difference], typical: float, measured: bool, data: dict[str, Any]
) -> CheckResult:
    outside = [one for one in found if one.outside]
    undecided = sum(one.open for one in found)
    data |= {"typical_ratio": typical, "outside": len(outside), "open": undecided}
    text = (
        f"{len(outside)} of {len(found)} matched launches beyond {ELSEWHERE:.0%} "
        f"({ELSEWHERE_SHORT:.0%} below {LONG_US:g} us) of the typical ratio {typical:.3f}, "
        f"{undecided} too noisy to say{_untimed(data)}; {_whole(data)}"
    )
    worst = sorted(outside, key=lambda one: -abs(one.apart_us))
    lines = limited(one.line() for one in worst)
    why = clocks_may_have_done_it(found)
    if outside and not why:
        return CheckResult(NAME, Status.FAIL, text, lines, data)
    if not why and not measured and beyond(typical):
        why = _all_moved(typical)
    if why:
        return CheckResult(NAME, Status.INCONCLUSIVE, f"{why}; {text}", lines, data)
    status = Status.SKIPPED if undecided == len(found) else Status.PASS
    return CheckResult(NAME, status, text, lines, data)


def _all_moved(typical: float) -> str:
    return (
        f"the names are equal and the times are not: kernels take {typical:.3f} times as long as "
        "in the reference, and no measured latency says whether that is the clocks"
    )


def _untimed(data: dict[str, Any]) -> str:
    count = data["without_times"]
    return f", {count} left out that have no times" if count else ""


def _whole(data: dict[str, Any]) -> str:
    """Busy time (union), span and gaps of a forward of both sides."""
    mock, reference = data["mock"], data["reference"]
    return ", ".join(
        f"{name} {mock[f'{name}_us']:.1f} against {reference[f'{name}_us']:.1f} us"
        for name in ("busy", "span", "gaps")
    )


def _figures(forwards: Sequence[Trace]) -> dict[str, float]:
    """Medians over forwards, in us."""
    times = [found for forward in forwards if (found := device_times(forward)) is not None]
    if not times:
        return {}
    return {
        name.replace("_ns", "_us"): statistics.median(one[name] for one in times) / 1000
        for name in times[0]
    }
