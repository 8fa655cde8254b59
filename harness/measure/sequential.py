"""When to stop sampling, and what may then be said: inside, outside or undecided."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from harness.measure.diagnosis import Diagnosis, diagnose
from harness.measure.estimate import ALPHA, Estimate, estimate, estimate_floor
from harness.measure.statistics import checked

FIRST_LOOK = 20
"""Blocks before the first look: fewer do not show an autocorrelation."""

FIRST_LOOK_OF_MANY = 6
"""The same after instances were added: each block then holds so many samples that it takes long."""

GROWTH = 1.4
"""From look to look; looks that lie further apart overshoot, closer ones cost error rate."""

FEWEST_EFFECTIVE = 10
"""Independent blocks below which the interval is not used: an autocorrelation that is estimated
from less is anything, and an interval that rests on it too."""

WANDER = 6.0
"""Standard deviations of a block's log ratio that then have to fit between ratio and edge."""

OUTSIDE_ALPHA = 0.005
"""Probability that noise alone, however loud, makes equal sides come out as different."""

FLOORS = 3.0
"""A ratio this many times as far from 1 as A/A is no matter of A/A."""

NEGLIGIBLE = 0.1
"""Noise of this share of the half-width for allocations adds 0.5 % to the interval."""


class Decision(StrEnum):
    """Where the ratio lies against 1 +- tolerance."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNDECIDED = "undecided"


def decide(low: float, high: float, tolerance: float) -> Decision:
    """Where an interval lies: wholly inside 1 +- tolerance, wholly outside, or neither."""
    if 1 - tolerance <= low and high <= 1 + tolerance:
        return Decision.INSIDE
    if high < 1 - tolerance or low > 1 + tolerance:
        return Decision.OUTSIDE
    return Decision.UNDECIDED


def spent(look: int, alpha: float = ALPHA) -> float:
    """Error that look 1, 2, 3, ... may spend: alpha / (look (look + 1)), in total ``alpha``.

    By the union bound all intervals of a run then hold together with probability 1 - alpha,
    however the looks depend on each other and however many there are.
    """
    return alpha / (look * (look + 1))


@dataclass(frozen=True)
class Look:
    """What was known after some blocks.

    Attributes:
        number: 1 for the first.
        blocks: sampled so far.
        instances: of each side.
        estimate: ratio and errors.
        interval: 95 %, over all looks up to this one.
        floor: ratio of the reference to a second instance of itself, where there is one.
        diagnosis: drift, outliers.
        decision: what may be said.
        reason: why nothing may be; empty when decided.
        hopeless: more samples will not decide either, or more instances will sooner, as
            allocations keep it open.
    """

    number: int
    blocks: int
    instances: int
    estimate: Estimate
    interval: tuple[float, float]
    floor: Estimate | None
    diagnosis: Diagnosis
    decision: Decision
    reason: str = ""
    hopeless: bool = False


class Sequential:
    """Looks at growing numbers of blocks until the interval decides.

    Args:
        tolerance: of the ratio, as a fraction.
        fixed: look once, at that many blocks; None looks at 20, 28, 40, ... blocks.

    Attributes:
        last: the latest look, None before the first.
        seen: blocks at the latest look; 0 again after `restart`.
        seconds: of sampling before it, noted by whoever samples.
        may_grow: instances can be added, so that sampling ends as soon as allocations are the
            larger part of the interval.
    """

    def __init__(self, tolerance: float, *, fixed: int | None = None) -> None:
        self.tolerance = tolerance
        self.last: Look | None = None
        self.seen = 0
        self.seconds = 0.0
        self.may_grow = False
        self._fixed = fixed
        self._due = FIRST_LOOK if fixed is None else fixed

    @property
    def found(self) -> bool:
        """Whether it is decided inside or outside."""
        return self.last is not None and self.last.decision is not Decision.UNDECIDED

    @property
    def decided(self) -> bool:
        """Whether no more blocks are needed."""
        if self.last is None:
            return False
        if self.found:
            return True
        return self.seen > 0 and (self._fixed is not None or self.last.hopeless)

    def restart(self, *, may_grow: bool) -> None:
        """Go on with blocks of more instances; those sampled before are not looked at again.

        What the looks so far have spent of the error stays spent.
        """
        self.seen, self.may_grow = 0, may_grow
        self._due = FIRST_LOOK_OF_MANY

    def due(self, blocks: int) -> bool:
        """Whether to look now."""
        return not self.decided and blocks >= self._due

    def look(
        self, mock: object, reference: object, floor: tuple[object, object] | None = None
    ) -> Look:
        """Look at everything sampled so far.

        Args:
            mock, reference: times [blocks, instances], see `harness.measure.estimate.estimate`.
            floor: times [blocks] or [blocks, instances] of two instances, or groups of them, of
                the reference.

        Raises:
            InputError, MissingPackageError: as `harness.measure.estimate.estimate`.
        """
        number = self.last.number + 1 if self.last else 1
        share = 1.0 if self._fixed is not None else spent(number, 1.0)
        found = estimate(mock, reference)
        noise = estimate_floor(*floor) if floor else None
        diagnosis = diagnose(mock, reference)
        decision, reason = _judge(found, noise, diagnosis, self.tolerance, share)
        blocks, instances = checked(mock, "the mock").shape
        interval = found.interval(ALPHA * share)
        least = 1.0 if self.may_grow else NEGLIGIBLE
        hopeless = found.noise(OUTSIDE_ALPHA * share) < least * found.allocation
        self.last = Look(
            number, blocks, instances, found, interval, noise, diagnosis, decision, reason, hopeless
        )
        self.seen = blocks
        self._due = max(math.ceil(blocks * GROWTH), blocks + 1)
        return self.last


def _judge(
    found: Estimate, floor: Estimate | None, diagnosis: Diagnosis, tolerance: float, share: float
) -> tuple[Decision, str]:
    """Decision and why there is none; ``share`` of the error may be spent on it."""
    decision = decide(*found.interval(ALPHA * share), tolerance)
    if decision is Decision.OUTSIDE:
        decision = decide(*found.interval(OUTSIDE_ALPHA * share), tolerance)
    doubts = _objections(found, floor, diagnosis, tolerance, decision)
    if decision is Decision.UNDECIDED:
        doubts.insert(0, _why_wide(found, tolerance, share))
    elif found.effective < FEWEST_EFFECTIVE and not _far_from_edge(found, tolerance):
        doubts.append(
            f"the blocks are worth {found.effective:.1f} independent ones (autocorrelation "
            f"{found.correlation:.2f}), fewer than {FEWEST_EFFECTIVE}"
        )
    return (Decision.UNDECIDED, "; ".join(doubts)) if doubts else (decision, "")


def _far_from_edge(found: Estimate, tolerance: float) -> bool:
    """Whether a ratio that wanders about like this could not have come from the other side."""
    margin = tolerance - abs(found.ratio - 1)
    return abs(margin) > math.hypot(WANDER * found.scatter, found.allocation)


def _why_wide(found: Estimate, tolerance: float, share: float) -> str:
    if found.allocation >= tolerance:
        return (
            f"allocation alone may move the ratio by {found.allocation:.2%}, which no number of "
            "samples narrows; more instances do"
        )
    width = f"noise {found.noise(ALPHA * share):.2%}, allocation {found.allocation:.2%}"
    return f"the interval crosses the edge of 1 +- {tolerance:.2%} ({width})"


def _objections(
    ratio: Estimate,
    floor: Estimate | None,
    diagnosis: Diagnosis,
    tolerance: float,
    decision: Decision,
) -> list[str]:
    """Why an interval must not be believed."""
    found = []
    off = abs(floor.ratio - 1) if floor and decision is Decision.OUTSIDE else 0.0
    if floor and off > max(tolerance, abs(ratio.ratio - 1) / FLOORS):
        found.append(
            f"the reference differs from a second instance of itself by {floor.ratio - 1:+.2%}"
        )
    if diagnosis.drifts and abs(diagnosis.drift) > tolerance / 2:
        found.append(f"the ratio drifted by {diagnosis.drift:+.2%} while it was measured")
    if diagnosis.lopsided:
        found.append(
            f"{diagnosis.slow_mock:.1%} of the pairs have a slow mock and "
            f"{diagnosis.slow_reference:.1%} a slow reference, so that typical calls and sums of "
            "calls differ"
        )
    return found
