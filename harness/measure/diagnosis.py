"""What a ratio does not show: drift, outliers, two levels of times. Reported, never dropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.measure.statistics import checked, critical, locations, precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

OUTLYING = 7.5
"""Median absolute deviations from the median beyond which a pair is an outlier; 5 standard
deviations of a normal distribution, so one pair in two million by chance."""

SMALLEST_OUTLIER = 0.002
"""And at least this far, as a fraction: on a very quiet card 5 deviations are clock ticks."""

DRIFT_ALPHA = 1e-3
"""Level of the test for drift; it is made at each look."""

LOPSIDED_ALPHA = 1e-3
LEVELS_APART = 4.5
"""Two halves of a normal distribution are 2.7 of their own deviations apart, of a uniform 3.5."""

FEWEST_IN_LEVEL = 0.1
"""Share of samples that makes a level; fewer are outliers."""

FEWEST_FOR_LEVELS = 20


@dataclass(frozen=True)
class Diagnosis:
    """What was seen in the samples.

    Attributes:
        drift: how far the ratio moved from the first block to the last, as a fraction, by a
            straight line.
        drifts: that line is significant.
        common_drift: how far the reference moved by itself (clocks, temperature), as a fraction.
        slow_mock, slow_reference: share of pairs in which that side is an outlier.
        lopsided: one of the two has significantly more of them.
        levels_mock, levels_reference: distance of two levels of times, as a fraction; 0 with one.
    """

    drift: float
    drifts: bool
    common_drift: float
    slow_mock: float
    slow_reference: float
    lopsided: bool
    levels_mock: float
    levels_reference: float

    @property
    def notes(self) -> list[str]:
        """One sentence for each thing that a reader should know."""
        found = []
        if self.drifts:
            found.append(f"the ratio drifted by {self.drift:+.2%} over the samples")
        if abs(self.common_drift) > 0.01:
            found.append(f"the reference drifted by {self.common_drift:+.2%} over the samples")
        for side, share in (("mock", self.slow_mock), ("reference", self.slow_reference)):
            if share:
                found.append(f"{side}: {share:.1%} of its samples are slow outliers")
        if self.lopsided:
            found.append("slow outliers are significantly more frequent on one side")
        for side, apart in (("mock", self.levels_mock), ("reference", self.levels_reference)):
            if apart:
                found.append(f"{side}: two levels of times, {apart:.2%} apart")
        return found


def diagnose(mock: object, reference: object) -> Diagnosis:
    """Look for what a ratio hides.

    Args:
        mock, reference: times [blocks, instances], at least 3 blocks.

    Raises:
        InputError: a time is not positive.
        MissingPackageError: scipy is not installed.
    """
    import numpy as np

    ours, theirs = np.log(checked(mock, "the mock")), np.log(checked(reference, "the reference"))
    pairs = ours - theirs
    drift, drifts = _drift(pairs)
    slow_mock, slow_reference = _outliers(pairs)
    return Diagnosis(
        drift,
        drifts,
        _common_drift(theirs),
        slow_mock / pairs.size,
        slow_reference / pairs.size,
        _differ(slow_mock, slow_reference),
        _levels(ours),
        _levels(theirs),
    )


def _drift(pairs: Array) -> tuple[float, bool]:
    """Change of the log ratio along a straight line through all blocks, and its significance."""
    import numpy as np

    series = locations(pairs).influence.mean(axis=1)
    count = len(series)
    slope = _slope(series)
    line = slope * (np.arange(count) - (count - 1) / 2)
    known = precision(series - line)
    # variance of a least-squares slope over equidistant points: 12 sigma^2 / n^3
    error = math.sqrt(12 * known.variance)
    drift = slope * (count - 1)
    return drift, abs(drift) > critical(DRIFT_ALPHA, known.degrees) * error


def _common_drift(logs: Array) -> float:
    """Change of a side's log time, from the medians of its first and last quarter."""
    import numpy as np

    quarter = max(len(logs) // 4, 1)
    off = logs - np.median(logs, axis=0)
    return float(np.median(off[-quarter:]) - np.median(off[:quarter])) * 4 / 3


def _slope(series: Array) -> float:
    import numpy as np

    at = np.arange(len(series)) - (len(series) - 1) / 2
    return float(np.dot(at, series) / max(np.dot(at, at), 1.0))


def _outliers(pairs: Array) -> tuple[int, int]:
    """Pairs in which the mock is far too slow, and in which the reference is."""
    import numpy as np

    off = pairs - np.median(pairs, axis=0)
    spread = np.median(np.abs(off), axis=0)
    far = np.maximum(OUTLYING * spread, SMALLEST_OUTLIER)
    return int((off > far).sum()), int((off < -far).sum())


def _differ(slow_mock: int, slow_reference: int) -> bool:
    """Whether outliers are too unevenly shared to be chance (sign test)."""
    if abs(slow_mock - slow_reference) < 8:  # the fewest that the test can reject with
        return False
    from scipy import stats

    test = stats.binomtest(slow_mock, slow_mock + slow_reference)
    return bool(test.pvalue < LOPSIDED_ALPHA)


def _levels(logs: Array) -> float:
    """Distance of the two levels that the samples of a side lie on; 0 where they lie on one.

    The cut is the one that leaves the least variance within the two parts (Otsu 1979).
    """
    import numpy as np

    values = np.sort((logs - np.median(logs, axis=0)).ravel())
    count = len(values)
    least = max(int(FEWEST_IN_LEVEL * count), 2)
    if count < FEWEST_FOR_LEVELS:
        return 0.0
    sums, squares = np.cumsum(values), np.cumsum(values**2)
    sizes = np.arange(1, count)
    low, high = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / (count - sizes)
    within = squares[-1] - sizes * low**2 - (count - sizes) * high**2
    allowed = slice(least - 1, count - least)
    cut = int(np.argmin(within[allowed])) + least - 1
    apart = float(high[cut] - low[cut])
    deviation = math.sqrt(max(float(within[cut]), 0.0) / count)
    return apart if apart > max(LEVELS_APART * deviation, SMALLEST_OUTLIER) else 0.0
