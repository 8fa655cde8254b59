"""Do the same kernels run at the same time on both sides?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.align.checks.common import limited, shown, skipped
from harness.align.durations import Timed, device_times, timed_columns
from harness.align.model import CheckResult, Status
from harness.align.noise import Floats, difference
from harness.align.observation import Observation
from harness.names import identity_keys
from harness.trace import Trace

NAME = "overlap"

LEAST = 0.02
"""Share of the busy time by which the time saved by parallel streams has to differ. Two nodes that
meet for a moment at the joint of two branches save less."""

FEWEST_FORWARDS = 5
"""Forwards of each side from which one knows by how much the time saved varies: when the second
stream is launched is a race on the host."""

CLEAR = 0.1
"""As `LEAST`, where fewer forwards were recorded: less is not worth a word."""

CONFIDENCE = 0.99
"""Of the interval of the difference. With a second stream that begins 30 +- 20 us late, so that its
share scatters by a third, equal sides of five forwards fail in 0.1 % of 3,000 draws, and 88 % of
those of which one is serial are found; with 20 forwards none and all."""

STEP = 1e-4
"""Share of the busy time that the step of the timer (32 ns) makes up in a layer of 0.3 ms."""


def overlap(observed: Observation) -> CheckResult:
    """Streams of both sides save the same time by running at once.

    Fails where the interval of the difference lies wholly beyond `LEAST` of the busy time: the same
    kernels run in parallel on one side, and on the other one after the other. With fewer than
    `FEWEST_FORWARDS` only other streams fail: several of a device on one side, one on the other.
    Kernels that overlap on one stream (programmatic dependent launch) do not count.
    """
    assert observed.reference is not None
    replay = observed.mode == "graph replay"
    sides = (observed.mock, observed.reference)
    forwards = [side.replay_forwards if replay else side.eager_forwards for side in sides]
    mock, reference = (_shares(each) for each in forwards)
    if not len(mock) or not len(reference):
        return skipped(NAME, "the recorder gives no times")
    ours, theirs = float(np.median(mock)), float(np.median(reference))
    text = (
        f"parallel streams save {ours:.1%} of the mock's busy time, {theirs:.1%} of the reference's"
    )
    several = [_several_streams(each[-1]) for each in forwards]
    status, why = _judged(mock, reference, several)
    data = {"mock": mock.tolist(), "reference": reference.tolist(), "least": LEAST}
    if status not in (Status.FAIL, Status.INCONCLUSIVE):
        return CheckResult(NAME, status, text + why, data=data)
    label = "mock" if ours > theirs else "reference"
    names = shown(parallel(forwards[0 if ours > theirs else 1][-1]))
    line = f"in parallel in the {label}{' only' if status is Status.FAIL else ''}: {names}"
    return CheckResult(NAME, status, text + why, limited([line]), data)


def _judged(mock: Floats, reference: Floats, several: Sequence[bool]) -> tuple[Status, str]:
    if not any(several):
        return Status.PASS, "; one stream each"
    apart = abs(float(np.median(mock) - np.median(reference)))
    least = min(len(mock), len(reference))
    if least >= FEWEST_FORWARDS:
        return _by_noise(mock, reference)
    if several[0] != several[1] and apart > LEAST:
        return Status.FAIL, "; all work of the other side is on one stream"
    why = f"; how much that varies needs {FEWEST_FORWARDS} forwards, and there are {least}"
    return (Status.INCONCLUSIVE if apart > CLEAR else Status.SKIPPED), why


def _by_noise(mock: Floats, reference: Floats) -> tuple[Status, str]:
    step = np.array([STEP])
    found = difference(mock[:, None], reference[:, None], confidence=CONFIDENCE, least=(step, step))
    shift, half = float(found.shift[0]), float(found.half[0])
    low, high = shift - half, shift + half
    if low > LEAST or high < -LEAST:
        return Status.FAIL, f", a difference of [{low:.1%}, {high:.1%}]"
    if max(-low, high) <= LEAST or (low <= 0 <= high and abs(shift) <= LEAST):
        return Status.PASS, ""
    return Status.INCONCLUSIVE, f"; by their noise they differ by [{low:.1%}, {high:.1%}]"


def parallel(forward: Trace) -> list[str]:
    """Identity keys of what ran while another stream of its device did, each once, in order."""
    timed = timed_columns(forward)
    other = _meeting(timed, timed.devices) > _meeting(timed, timed.streams)
    keys = identity_keys(forward)
    found = np.flatnonzero(other & (timed.ends > timed.starts))
    return list(dict.fromkeys(keys[row] for row in timed.rows[found].tolist()))


def _meeting(timed: Timed, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many activities of its place each one meets: those that begin before it ends, less those
    that end before it begins."""
    found = np.zeros(len(places), np.int64)
    for one in np.unique(places):
        here = np.flatnonzero(places == one)
        starts, ends = timed.starts[here], timed.ends[here]
        begun = np.searchsorted(np.sort(starts), ends, side="left")
        found[here] = begun - np.searchsorted(np.sort(ends), starts, side="right")
    return found


def _several_streams(forward: Trace) -> bool:
    """Whether a device runs more than one."""
    timed = timed_columns(forward)
    return len(np.unique(timed.streams)) > len(np.unique(timed.devices))


def _shares(forwards: Sequence[Trace]) -> Floats:
    """Of each forward, the time saved as a share of its busy time."""
    times = [device_times(forward) for forward in forwards]
    return np.array(
        [one["parallel_ns"] / one["busy_ns"] for one in times if one and one["busy_ns"]]
    )
