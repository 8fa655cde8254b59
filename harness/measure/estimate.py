"""From blocks of samples of several instances per side to a ratio and its interval.

Two things make the ratio of two equal operators differ from 1: noise of the samples, which more
blocks average out, and where an instance happens to lie in memory, which only more instances do.
Each gets a half-width of its own; the interval adds the two in quadrature (Zou and Donner 2008,
"Construction of confidence limits about effect measures").
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.measure.statistics import checked, critical, locations, precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ALPHA = 0.05
"""One minus the level of the stated intervals."""

FEWEST_BLOCKS = 3

ALLOCATION_SD = 0.0009
"""Standard deviation of a long operator's log time over allocations, before any was measured: two
equal modules differed by 0.06 to 0.1 % on an H200, of which the upper end is this times the square
root of two, rounded up."""

ALLOCATION_MS = 40e-6
"""The same in milliseconds per call, which is what counts for a short operator: a RMSNorm of 6.6 us
differed by 43 ns between 16 allocations on an H200, an addition of 2.5 us by 16 ns, and a GEMM of
50 us by 18 ns (standard deviations)."""

ALLOCATION_WEIGHT = 8
"""Degrees of freedom that `ALLOCATION_SD` counts for beside those of the instances measured: the
moderated variance of Smyth 2004 ("Linear models and empirical Bayes methods"), without which two
instances a side would have an interval of 13 times their difference."""

METHOD = (
    "biweight mean of log ratios of instance pairs; noise: Student's t, AR(1) effective size; "
    f"allocations: moderated variance, prior {ALLOCATION_SD:.2%} and {ALLOCATION_MS * 1e6:.0f} ns "
    f"of weight {ALLOCATION_WEIGHT}; "
    "95 % over all looks"
)


@dataclass(frozen=True)
class Estimate:
    """A ratio and how well it is known.

    Attributes:
        ratio: mock / reference of the typical call.
        error: standard error of its logarithm due to the samples' noise.
        degrees: degrees of freedom of ``error``.
        scatter: standard deviation of the log ratio of a block.
        allocation: half-width of its logarithm, at `ALPHA`, due to where instances lie in memory.
        effective: independent blocks that the sampled ones are worth.
        correlation: of the log ratio between neighbouring blocks.
    """

    ratio: float
    error: float
    degrees: float
    scatter: float
    allocation: float
    effective: float
    correlation: float

    def noise(self, alpha: float = ALPHA) -> float:
        """Half-width due to noise, which exceeds it with probability ``alpha``."""
        return critical(alpha, self.degrees) * self.error

    def interval(self, alpha: float = ALPHA) -> tuple[float, float]:
        """Interval of the ratio; ``alpha`` is spent on noise, allocations always have `ALPHA`."""
        half = math.hypot(self.noise(alpha), self.allocation)
        return self.ratio * math.exp(-half), self.ratio * math.exp(half)


def estimate(mock: object, reference: object) -> Estimate:
    """Ratio of mock to reference and what is needed for its interval.

    Args:
        mock, reference: milliseconds per call [blocks, instances]; the samples of a row were
            taken next to each other. Instance j of one is paired with instance j of the other.

    Raises:
        InputError: fewer than 3 blocks, different shapes, or a time that is not positive.
        MissingPackageError: scipy is not installed.
    """
    ours, theirs = _logs(mock, reference)
    pairs = locations(ours - theirs)
    series = pairs.influence.mean(axis=1)
    known = precision(series)
    return Estimate(
        math.exp(float(pairs.values.mean())),
        math.sqrt(known.variance),
        known.degrees,
        float(series.std(ddof=1)),
        _allocation(ours, theirs),
        known.effective,
        known.correlation,
    )


def estimate_floor(one: object, other: object) -> Estimate:
    """Ratio of two instances of the same side: the interval holds their noise alone.

    Args:
        one, other: milliseconds per call [blocks], or [blocks, instances] of two groups.

    Raises:
        InputError, MissingPackageError: as `estimate`.
    """
    return replace(estimate(one, other), allocation=0.0)


def _logs(mock: object, reference: object) -> tuple[Array, Array]:
    import numpy as np

    ours, theirs = checked(mock, "the mock"), checked(reference, "the reference")
    if ours.shape != theirs.shape:
        raise InputError(
            f"samples {ours.shape} of the mock and {theirs.shape} of the reference are no pairs",
            fix="take both in the same blocks, with as many instances",
        )
    if len(ours) < FEWEST_BLOCKS:
        raise InputError(
            f"{len(ours)} blocks of samples give no interval",
            fix=f"measure at least {FEWEST_BLOCKS}",
        )
    return np.log(ours), np.log(theirs)


def _allocation(ours: Array, theirs: Array) -> float:
    """Half-width of the mean log ratio over other allocations of as many instances."""
    instances = ours.shape[1]
    degrees = 2 * (instances - 1)
    seen = (_spread(ours) + _spread(theirs)) / 2
    total = ALLOCATION_WEIGHT + degrees
    expected = expected_allocation_sd(math.exp(float(theirs.mean())))
    variance = (ALLOCATION_WEIGHT * expected**2 + degrees * seen) / total
    return critical(ALPHA, total) * math.sqrt(variance * 2 / instances)


def expected_allocation_sd(call_ms: float) -> float:
    """Standard deviation of an instance's log time over allocations that is expected beforehand.

    Args:
        call_ms: how long a call lasts.
    """
    return math.hypot(ALLOCATION_SD, ALLOCATION_MS / call_ms)


def _spread(logs: Array) -> float:
    """Variance of a side's instances around each other, less what their noise explains."""
    import numpy as np

    instances = logs.shape[1]
    if instances == 1:
        return 0.0
    against_first = locations(logs[:, 1:] - logs[:, :1])
    effects = np.append(against_first.values, 0.0)
    noise = np.mean([precision(column).variance for column in against_first.influence.T]) / 2
    return max(float(effects.var(ddof=1)) - float(noise), 0.0)
