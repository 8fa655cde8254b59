"""Typical values of sample streams that have outliers and remember their past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CUTOFF = 9.0
"""Of the biweight, in median absolute deviations (Mosteller and Tukey 1977, chapter 10): what lies
further out does not move the location. `harness.measure.diagnosis` counts and reports it."""

STEPS = 3
"""Reweightings from the median; the location then no longer moves by a tenth of its error."""

MOST_CORRELATION = 0.98
"""Bound of the estimated autocorrelation: 99 samples then count as one."""


@dataclass(frozen=True)
class Locations:
    """Typical values of one or more streams of equal length, column by column.

    Attributes:
        values: biweight location of each column.
        influence: [samples, columns]: how far each sample pulls its column's value; the mean of a
            column's influences is about 0, and their long-run variance is that of the value times
            the number of samples (Hampel et al. 1986, section 2.1).
    """

    values: Array
    influence: Array


def locations(streams: Array) -> Locations:
    """Biweight location of each column of ``streams`` [samples, columns]."""
    import numpy as np

    center: Array = np.median(streams, axis=0)
    spread = np.median(np.abs(streams - center), axis=0)
    # more than half of the samples are equal: clock ticks; then the standard deviation
    spread = np.where(spread > 0, spread, streams.std(axis=0) / 3)
    reach = np.where(spread > 0, CUTOFF * spread, 1.0)
    for _ in range(STEPS):
        squared = np.minimum(((streams - center) / reach) ** 2, 1.0)
        weights = (1 - squared) ** 2
        center = (weights * streams).sum(axis=0) / weights.sum(axis=0)
    squared = np.minimum(((streams - center) / reach) ** 2, 1.0)
    pull = (streams - center) * (1 - squared) ** 2
    slope = np.where(squared < 1, (1 - squared) * (1 - 5 * squared), 0.0).mean(axis=0)
    return Locations(center, pull / np.maximum(slope, 0.1))


@dataclass(frozen=True)
class Precision:
    """How well the mean of a stream is known.

    Attributes:
        variance: of the mean.
        effective: independent samples that the stream is worth.
        degrees: degrees of freedom of ``variance``.
        correlation: between neighbouring samples, corrected for its bias; 0 when negative.
    """

    variance: float
    effective: float
    degrees: float
    correlation: float


def precision(stream: Array) -> Precision:
    """Precision of the mean of a stream, taken as autoregressive of order one.

    The estimated autocorrelation of a short stream is too small by (1 + 3 rho) / n (Kendall 1954),
    which is added back. The variance is that of the innovations over (1 - rho)^2 n; as rho is
    estimated too, its relative variance is (2 + 4 (1 + rho) / (1 - rho)) / n (delta method), which
    gives the degrees of freedom (Satterthwaite 1946).
    """
    import numpy as np

    count = len(stream)
    centered = stream - stream.mean()
    total = float(np.dot(centered, centered))
    if total == 0:
        return Precision(0.0, float(count), count - 1.0, 0.0)
    raw = float(np.dot(centered[1:], centered[:-1])) / total
    correlation = min(max(raw + (1 + 3 * raw) / count, 0.0), MOST_CORRELATION)
    stretch = (1 + correlation) / (1 - correlation)
    # the sum of squares loses the variance of the mean, which is `stretch` times larger than usual
    variance = total / max(count - stretch, 1.0) * stretch / count
    return Precision(variance, count / stretch, count / (1 + 2 * stretch), correlation)


def critical(alpha: float, degrees: float) -> float:
    """Two-sided critical value of Student's t; ``degrees`` need not be whole.

    Raises:
        MissingPackageError: scipy is not installed.
    """
    try:
        from scipy import special
    except ImportError as error:
        raise MissingPackageError(
            "intervals need the package scipy", fix="pip install 'scipy>=1.13'"
        ) from error
    return float(special.stdtrit(max(degrees, 1.0), 1 - alpha / 2))


def checked(times: object, what: str) -> Array:
    """Times as an array [blocks, instances].

    Raises:
        InputError: a time is zero, negative or not a number, or it is no table.
    """
    import numpy as np

    found: Array = np.asarray(times, dtype=np.float64)
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2 or found.shape[1] < 1:
        raise InputError(f"the times of {what} are no table", fix="give one row per block")
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise InputError(
            f"a time of {what} is zero, negative or not a number",
            fix="check that every call does some work",
        )
    return found
