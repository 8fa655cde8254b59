"""From paired samples to a ratio and an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.errors import InputError, MissingPackageError

RESAMPLES = 5000
"""Bootstrap resamples: the ends of a 95 % interval then rest on 125 resamples each."""

FEWEST_PAIRS = 3
METHOD = f"median of paired ratios, percentile bootstrap, {RESAMPLES} resamples"
"""Percentile and not BCa: BCa needs a jackknife, and that of a median takes at most a few values,
so the acceleration it yields is not meaningful (Efron and Tibshirani 1993, section 11.6)."""


def paired_ratio(
    mock: Sequence[float], reference: Sequence[float], *, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Median of ``mock[i] / reference[i]`` and its 95 % interval.

    Args:
        mock, reference: times of the same unit; sample i of one was taken next to i of the other.
        seed: the same seed gives the same interval.

    Raises:
        InputError: fewer than 3 pairs, different lengths, or a time that is not positive.
        MissingPackageError: scipy is not installed.
    """
    import numpy as np

    _check(mock, reference)
    ratios = np.asarray(mock, dtype=float) / np.asarray(reference, dtype=float)
    ratio = float(np.median(ratios))
    if np.ptp(ratios) == 0:  # scipy warns of degenerate data
        return ratio, (ratio, ratio)
    try:
        from scipy import stats
    except ImportError as error:
        raise MissingPackageError(
            "intervals need the package scipy", fix="pip install 'scipy>=1.13'"
        ) from error
    found = stats.bootstrap(
        (ratios,),
        np.median,
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        random_state=np.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return ratio, (float(interval.low), float(interval.high))


def _check(mock: Sequence[float], reference: Sequence[float]) -> None:
    if len(mock) != len(reference):
        raise InputError(
            f"{len(mock)} samples of the mock and {len(reference)} of the reference are no pairs",
            fix="take both in the same rounds",
        )
    if len(mock) < FEWEST_PAIRS:
        raise InputError(
            f"{len(mock)} pairs of samples give no interval",
            fix=f"measure at least {FEWEST_PAIRS} rounds",
        )
    if not all(math.isfinite(value) and value > 0 for value in (*mock, *reference)):
        raise InputError(
            "a time is zero, negative or not a number", fix="check that every call does some work"
        )
