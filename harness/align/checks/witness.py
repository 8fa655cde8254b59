"""Does a second profiler see the same list in a process of its own?

Names, counts, order and graph nodes have to be equal: both profilers watch the same code, so a
difference is a launch that one of them did not see, or code that is not the same twice. Durations
come from two processes that are both traced, at clocks that nobody locked, so they are compared by
one figure: the median over kernels of |nsys / live - 1|, of kernels long enough that the GPU's
timer (steps of 32 ns on an H200) does not decide. A median beyond the tolerance leaves the check
open: the list stands, the times do not.
"""

from __future__ import annotations

import statistics

from harness.align.checks.common import limited, skipped
from harness.align.checks.witness_lists import compare_lists
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.align.witness import EAGER, REPLAY, Lists, label_of
from harness.trace import Trace

NAME = "nsys witness"

TOLERANCE = 0.02
"""Of the median difference of durations. Two halves of one nsys recording of vLLM's DSA layer on an
H200 (10 graph replays each) differ by 0.4 % in prefill and 0.7 % in decode; two processes may have
other clocks too."""

SHORTEST_NS = 5_000
"""Kernels below are left out of it: one step of the timer is 0.6 % of this."""


def witness(observed: Observation) -> CheckResult:
    """The live lists against those of nsys, kernel by kernel."""
    seen = observed.witness
    if seen is None:
        return skipped(NAME, observed.unwitnessed)
    if seen.problem:
        text = f"{seen.program} saw nothing to compare with: {seen.problem}"
        return CheckResult(NAME, Status.INCONCLUSIVE, text)
    return compare_witness(live_lists(observed), seen.lists, seen.program)


def live_lists(observed: Observation) -> dict[str, list[Trace]]:
    """The forwards that were recorded live of both sides."""
    found = {}
    for side in (observed.mock, observed.reference):
        if side is not None:
            found[label_of(side.label, EAGER)] = side.eager_forwards
            found[label_of(side.label, REPLAY)] = side.replay_forwards
    return {label: forwards for label, forwards in found.items() if forwards}


def compare_witness(
    live: Lists,
    seen: Lists,
    program: str = "nsys",
    tolerance: float = TOLERANCE,
    shortest_ns: int = SHORTEST_NS,
) -> CheckResult:
    """Compare lists that were recorded live with those of a second profiler.

    Args:
        live, seen: forwards by side and mode; of each list the last forward is compared, its
            durations as medians over the forwards that launch the same.
        program: the second profiler, for the reader.
        tolerance: of the median relative difference of durations.
        shortest_ns: kernels that take less live do not count for it.

    Returns:
        Fail where a list differs in names, counts, order, graph nodes or number of forwards, or
        where only one side has it;
        inconclusive where the lists agree and the durations do not, or there is nothing to compare.
    """
    if not live:
        return skipped(NAME, "nothing was recorded live")
    results = {
        label: compare_lists(live.get(label, ()), seen.get(label, ()), shortest_ns)
        for label in dict.fromkeys((*live, *seen))
        if live.get(label) or seen.get(label)
    }
    problems = [f"{label}: {line}" for label, one in results.items() for line in one.problems]
    differences = [value for one in results.values() for value in one.differences]
    median = statistics.median(differences) if differences else None
    data = {
        "program": program,
        "lists": {label: one.data for label, one in results.items()},
        "kernels_timed": len(differences),
        "median_difference": median,
        "tolerance": tolerance,
        "shortest_us": shortest_ns / 1000,
    }
    shown = ", ".join(f"{label} {one.data['live']}" for label, one in results.items())
    if problems:
        text = f"nsys did not see the same lists ({shown} live)"
        return CheckResult(NAME, Status.FAIL, text, limited(problems), data)
    times = _times(median, len(differences), tolerance, shortest_ns)
    text = f"the same list in its own process under {program}: {shown}; {times}"
    late = median is not None and median > tolerance
    return CheckResult(NAME, Status.INCONCLUSIVE if late else Status.PASS, text, data=data)


def _times(median: float | None, count: int, tolerance: float, shortest_ns: int) -> str:
    least = f"{shortest_ns / 1000:g} us or more"
    if median is None:
        return f"no kernel takes {least}, so durations are not compared"
    against = "within" if median <= tolerance else "beyond"
    return (
        f"durations of {count} kernels of {least} differ by {median:.2%} in the median, "
        f"{against} {tolerance:.2%}"
    )
