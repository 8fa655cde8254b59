"""Do the same kernels run at the same time on both sides?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from harness.align.checks.common import limited, shown, skipped
from harness.align.durations import device_times, timed_columns
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.names import identity_keys
from harness.trace import Trace

NAME = "overlap"

LEAST = 0.02
"""Share of the busy time by which the time saved by parallel streams has to differ. Two nodes that
meet for a moment at the joint of two branches save less."""


def overlap(observed: Observation) -> CheckResult:
    """Streams of both sides save the same time by running at once.

    Fails where every forward of one side saves more than any of the other, by more than `LEAST` of
    its busy time: the same kernels run in parallel there, and here one after the other. Kernels
    that overlap on one stream (programmatic dependent launch) do not count.
    """
    assert observed.reference is not None
    replay = observed.mode == "graph replay"
    sides = (observed.mock, observed.reference)
    forwards = [side.replay_forwards if replay else side.eager_forwards for side in sides]
    mock, reference = (_shares(each) for each in forwards)
    if not mock or not reference:
        return skipped(NAME, "the recorder gives no times")
    ours, theirs = statistics.median(mock), statistics.median(reference)
    text = (
        f"parallel streams save {ours:.1%} of the mock's busy time, {theirs:.1%} of the reference's"
    )
    data = {"mock": mock, "reference": reference, "least": LEAST}
    more, fewer = (mock, reference) if ours > theirs else (reference, mock)
    if min(more) <= max(fewer) or abs(ours - theirs) <= LEAST:
        return CheckResult(NAME, Status.PASS, text, data=data)
    label = "mock" if ours > theirs else "reference"
    names = shown(parallel(forwards[0 if ours > theirs else 1][-1]))
    line = f"in parallel in the {label} only: {names}"
    return CheckResult(NAME, Status.FAIL, text, limited([line]), data)


def parallel(forward: Trace) -> list[str]:
    """Identity keys of what ran while another stream ran something, each once, in order."""
    starts, ends, streams = timed_columns(forward)
    keys = identity_keys(forward)
    if len(starts) != len(keys):
        return []
    found = []
    for at in np.flatnonzero(ends > starts).tolist():
        meanwhile = (starts < ends[at]) & (ends > starts[at]) & (streams != streams[at])
        if meanwhile.any():
            found.append(keys[at])
    return list(dict.fromkeys(found))


def _shares(forwards: Sequence[Trace]) -> list[float]:
    """Of each forward, the time saved as a share of its busy time."""
    times = [device_times(forward) for forward in forwards]
    return [one["parallel_ns"] / one["busy_ns"] for one in times if one and one["busy_ns"]]
