"""Steps found from the repetition of the kernels themselves.

The sequence of kernel names is turned into numbers of length 1 in the complex plane, a fixed random
one for each name. The autocorrelation of that signal (by FFT, Wiener-Khinchin) is large at lags at
which names repeat. The best lags are then counted exactly: the share of kernels whose name is that
of the kernel one lag later. Of lags nearly as good as the best the smallest is the period, since
its multiples are as good. In a recording of a single forward pass that is a layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]

WINDOW = 1 << 16
"""At most so many kernels are looked at: the last, where a recording is warm."""

HALVINGS = 3
"""So often half of them, the later ones, are tried by themselves: what came before may differ."""

REPEATS = 4
"""A period has to fit so many times into the kernels looked at."""

AGREEMENT = 0.9
"""Below this share of kernels that repeat there is no period."""

_CLOSE = 0.001
_CANDIDATES = 64
_SIGNALS = 4


@dataclass(frozen=True)
class Period:
    """A repetition of kernels.

    Attributes:
        kernels: length of the period.
        agreement: share of the kernels looked at whose name repeats one period later.
        among: how many kernels were looked at, the last of the recording.
        marker: number of a name that occurs once in a period, before its longest pause; steps are
            taken to end with it.
    """

    kernels: int
    agreement: float
    among: int
    marker: int


def find_period(codes: Codes, starts: Codes, ends: Codes) -> Period | str:
    """The period of the kernels of one device, or why there is none.

    Args:
        codes: names as numbers, shape (n,), in the order of the starts.
        starts, ends: ns, shape (n,).
    """
    count = min(len(codes), WINDOW)
    if count // REPEATS < 2:
        return f"{count} kernels are too few to repeat {REPEATS} times"
    best, among = 0.0, count
    for halved in range(HALVINGS + 1):
        size = count >> halved
        if size // REPEATS < 2:
            break
        length, agreement = _best_lag(codes[-size:])
        if agreement >= AGREEMENT:
            return _with_marker(length, agreement, codes[-size:], starts[-size:], ends[-size:])
        best, among = max((best, among), (agreement, size))
    return f"at most {best:.0%} of kernels repeat (of the last {among}), below {AGREEMENT:.0%}"


def _best_lag(codes: Codes) -> tuple[int, float]:
    """The smallest lag at which nearly as many kernels repeat as at the best, and their share."""
    lags = _candidates(codes, len(codes) // REPEATS).tolist()
    shares = [float(np.mean(codes[lag:] == codes[:-lag])) for lag in lags]
    close = max(shares) - _CLOSE
    return next(pair for pair in zip(lags, shares, strict=True) if pair[1] >= close)


def _with_marker(
    length: int, agreement: float, codes: Codes, starts: Codes, ends: Codes
) -> Period | str:
    marker = _marker(codes, starts, ends, length)
    if marker is None:
        return f"every {length} kernels repeat, but none of them occurs once in that many"
    return Period(length, agreement, len(codes), marker)


def _candidates(codes: Codes, longest: int) -> Codes:
    """Lags from 2 on with the highest autocorrelation, in ascending order."""
    size = 1 << (2 * len(codes) - 1).bit_length()
    random = np.random.default_rng(0)
    power = np.zeros(size)
    for _ in range(_SIGNALS):
        phases = np.exp(2j * np.pi * random.random(int(codes.max()) + 1))
        power += np.abs(np.fft.fft(phases[codes], size)) ** 2
    correlation = np.fft.ifft(power).real[: longest + 1]
    correlation /= len(codes) - np.arange(longest + 1)
    order = np.argsort(-correlation[2:], kind="stable")[:_CANDIDATES] + 2
    return np.sort(order)


def _marker(codes: Codes, starts: Codes, ends: Codes, length: int) -> int | None:
    """Of the names that occur once per period, the one before the longest pauses (their median)."""
    last = codes[-length * (len(codes) // length) :]
    periods = len(last) // length
    counts = np.bincount(last)
    # Steps at the edges of the window may be cut, so one more or less does not matter.
    names = np.flatnonzero(np.abs(counts - periods) <= 1)
    pauses = starts[1:] - np.maximum.accumulate(ends)[:-1]
    found = [(float(np.median(pauses[codes[:-1] == name])), int(name)) for name in names.tolist()]
    return max(found)[1] if found else None
