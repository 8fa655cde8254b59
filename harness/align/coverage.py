"""Which declarations cover all of a failure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from harness.align.checks import CHECKS, fusion, kernel_latency
from harness.align.declaration import NEEDS, OF_KERNELS, Declaration
from harness.align.durations import launch_ns
from harness.align.findings import distance, findings
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.align.without import without_kernels

Slow = tuple[str, float, float]
"""Identity of a launch, and the interval of its mock / reference."""


class Remade:
    """Checks of an observation made again without kernels; each list is shortened once."""

    def __init__(self, observed: Observation) -> None:
        self.observed = observed
        self._shortened: dict[tuple[str, ...], Observation] = {}
        self._made: dict[tuple[str, ...], CheckResult] = {}

    @cached_property
    def slow(self) -> list[Slow]:
        """The launches for which the check ``kernel latency`` failed, also those that its details
        leave out."""
        replay = self.observed.mode == "graph replay"
        mock, reference = (
            launch_ns(side.replay_forwards if replay else side.eager_forwards)
            for side in self.observed.sides[:2]
        )
        untimed = [np.asarray(np.isnan(each).any(axis=0)) for each in (mock, reference)]
        rows = [
            (one, other)
            for pair in self.observed.matching
            for one, other in pair.matched_rows()
            if not (untimed[0][one] or untimed[1][other])
        ]
        found, _ = kernel_latency.differences(mock, reference, rows, self.observed.keys[0])
        return [(one.key, one.low, one.high) for one in found if one.outside]

    def check(self, name: str, declared: Sequence[Declaration]) -> CheckResult:
        """A check without the kernels that the declarations name."""
        patterns = tuple(one.kernel for one in declared)
        if patterns not in self._shortened:
            self._shortened[patterns] = without_kernels(self.observed, patterns)
        if (name, *patterns) not in self._made:
            self._made[(name, *patterns)] = CHECKS[name](self._shortened[patterns])
        return self._made[(name, *patterns)]


def covering(
    check: CheckResult, declared: Sequence[Declaration], remade: Remade
) -> list[Declaration]:
    """The fewest of the declarations that cover a failure, the first of several that would do.

    Returns:
        In their order; none where something of the failure is left.
    """
    kept = [one for one in declared if _is_own(one, check) or _is_of(one, check)]
    if not _covers(check, kept, remade):
        return []
    for one in reversed(tuple(kept)):
        rest = [other for other in kept if other is not one]
        if _covers(check, rest, remade):
            kept = rest
    return kept


def _is_own(one: Declaration, check: CheckResult) -> bool:
    return one.check == check.name and check.name in NEEDS


def _is_of(one: Declaration, check: CheckResult) -> bool:
    return one.is_presence and check.name in OF_KERNELS


def _covers(check: CheckResult, declared: Sequence[Declaration], remade: Remade) -> bool:
    own = [one for one in declared if one.check == check.name]
    kernels = [one for one in declared if _is_of(one, check)]
    if check.name == fusion.NAME:
        return bool(kernels) and _all_fused(check, kernels)
    if check.name == "launch":
        return bool(own) and remade.check(check.name, own).status is not Status.FAIL
    if kernels:
        check = remade.check(check.name, kernels)
        if check.status is not Status.FAIL:
            return True
    return bool(own) and _covered(check, own, remade)


def _covered(check: CheckResult, own: Sequence[Declaration], remade: Remade) -> bool:
    """Whether declarations of a check cover all that it found."""
    if check.name == kernel_latency.NAME:
        found = [any(_within(one, each) for one in own) for each in remade.slow]
        return bool(found) and all(found)
    if NEEDS[check.name] == "most":
        return any(distance(check) <= (one.most or 0.0) for one in own)
    found = [any(one.matches(*each) for one in own) for each in findings(check)]
    return bool(found) and all(found)


def _within(one: Declaration, slow: Slow) -> bool:
    (name, low, high), most = slow, one.most or 0.0
    return one.finds(name) and 1 - most <= low and high <= 1 + most


def _all_fused(check: CheckResult, kernels: Sequence[Declaration]) -> bool:
    """Whether every place in which one side launches more is of declared kernels only."""
    places = [(*each["mock"], *each["reference"]) for each in check.data.get("fused", ())]
    names = {name for place in places for name in place}
    return bool(names) and all(any(one.finds(name) for one in kernels) for name in names)
