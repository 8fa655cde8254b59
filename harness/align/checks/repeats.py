"""Does every forward of a side launch the same?"""

from __future__ import annotations

from collections import Counter

from harness.align.checks.common import counted, failed, passed, skipped
from harness.align.model import CheckResult
from harness.align.observation import Observation
from harness.names import identity_keys
from harness.trace import Trace


def repeats(observed: Observation) -> CheckResult:
    """Each recorded forward of a side and mode launches what the first one does.

    Judging one forward would miss what happens on every second call, late autotuning, or a cache
    that grows.
    """
    lines: list[str] = []
    forwards = 0
    for side in observed.sides:
        for mode, recorded in (("eager", side.eager_forwards), ("replay", side.replay_forwards)):
            forwards += len(recorded)
            lines += [f"{side.label}, {mode} {line}" for line in _unlike(recorded)]
    if lines:
        return failed("repeats", "forwards of one side differ from each other", lines)
    if forwards <= len(observed.sides):
        return skipped("repeats", "one forward of each side was recorded")
    return passed("repeats", f"{forwards} forwards, each side's launch the same every time")


def _unlike(forwards: list[Trace]) -> list[str]:
    lists = [Counter(identity_keys(forward)) for forward in forwards]
    lines = []
    for number, found in enumerate(lists[1:], start=2):
        more, fewer = found - lists[0], lists[0] - found
        for sign, difference in (("more", more), ("fewer", fewer)):
            if difference:
                text = ", ".join(counted(difference)[:2])
                lines.append(f"{number} launches {sign} than the first: {text}")
    return lines
