"""How far two means are apart, as far as the noise of few repeated measurements lets one say.

Welch's t test with trimmed means (Yuen, "The two-sample trimmed t for unequal population
variances", Biometrika 61, 1974): one replay in twenty that met an interrupt or a cold cache moves
neither the estimate nor its interval.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.stats import mstats

Floats = npt.NDArray[np.float64]

TRIM = 0.1
"""Share of the lowest and of the highest measurements that count for nothing but the variance:
none of 5, one of 10, two of 20. More would leave five forwards too few degrees of freedom."""

MOST_MEMORY = 0.8
"""Autocorrelation above which a few measurements are taken for no less dependent."""


class Interval(NamedTuple):
    """First side less second, for each quantity; arrays of one length.

    Attributes:
        shift: estimate.
        half: half the width of its interval.
    """

    shift: Floats
    half: Floats


class _Mean(NamedTuple):
    value: Floats
    variance: Floats  # of the value
    freedom: int


def difference(
    first: Floats,
    second: Floats,
    *,
    confidence: float,
    least: tuple[Floats, Floats],
) -> Interval:
    """The interval of the difference of two means.

    Args:
        first, second: measurements in the order in which they were taken, shape (n, quantities) and
            (m, quantities); n and m at least 2.
        confidence: of each interval.
        least: standard deviation below which that of a side's quantity is not believed, because
            of the step of its clock; above 0.
    """
    one, other = _mean(first, least[0]), _mean(second, least[1])
    variance = one.variance + other.variance
    freedom = variance**2 / (one.variance**2 / one.freedom + other.variance**2 / other.freedom)
    quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    return Interval(one.value - other.value, np.sqrt(variance) * quantile)


def _mean(values: Floats, least: Floats) -> _Mean:
    count = len(values)
    kept = count - 2 * int(TRIM * count)
    own = np.asarray(mstats.winsorize(values, (TRIM, TRIM), axis=0)).var(axis=0, ddof=1)
    variance = np.maximum(own, least**2) * (count - 1) / (kept * (kept - 1))
    return _Mean(stats.trim_mean(values, TRIM, axis=0), variance * _repeating(values), kept - 1)


def _repeating(values: Floats) -> float:
    """By how much a mean varies more because measurements resemble the ones before.

    (1 + r) / (1 - r) for autocorrelation r of a first-order process; r is the median over all
    quantities, each of which alone has too few measurements. The estimate from n measurements is
    low by about 1 / n (Kendall, Biometrika 41, 1954).
    """
    apart = values - values.mean(axis=0)
    squares = (apart**2).sum(axis=0)
    moving = squares > 0
    if not moving.any():
        return 1.0
    each = (apart[1:] * apart[:-1]).sum(axis=0)[moving] / squares[moving]
    memory = min(max(float(np.median(each)) + 1 / len(values), 0.0), MOST_MEMORY)
    return (1 + memory) / (1 - memory)
