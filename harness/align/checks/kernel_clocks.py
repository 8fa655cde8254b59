"""What clocks and memory do to the kernels of one side, and what they cannot.

A card that lowers its SM clock slows what computes and leaves what waits for memory as it was. So a
difference says something of a kernel only where it is larger than clocks account for, or where that
kernel alone moved. And the same launch takes another time where its tensors lie elsewhere, as they
do in the other side and in each new capture: replays of one capture do not show that noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.align.noise import Floats
from harness.names import display_name

TOLERANCE = 0.05
"""Of what the kernels of a side have in common: their typical ratio, and how far apart quarters of
them are. Two halves of one nsys recording of vLLM's DSA layer on an H200 (10 replays each) differ
by up to 1.2 % (decode) and 1.9 % (prefill) in a kernel of 5 us or more
(benchmarks/results/cpu/kernel_latency_splits.json)."""

ELSEWHERE = 0.20
"""Of one kernel of `LONG_US` or more: what another place in memory does to it. DSA layers of
transformers and vLLM, captured four times a side on an H200: up to 10 %
(benchmarks/results/h200/kernel_latency_captures.json)."""

ELSEWHERE_SHORT = 0.50
"""Of a shorter one; up to 32 % in the same recordings."""

LONG_US = 5.0
"""From here on a step of the timer is below 1 %, and what memory does is smaller, too."""

TICK_NS = 32
"""Step of the timer of the H200; a difference within two steps is none."""

FEWEST_KERNELS = 8
"""Matched launches from which their median tells the clocks from a kernel."""

CLOCKS = 1.5
"""Factor by which clocks alone may slow a kernel. An H200 runs at 1,980 MHz where its power allows,
and a kernel that draws all of the power lowers that; more than a third is no longer a clock that
moved between two recordings but a throttled card, which the check `conditions` reports."""


@dataclass(frozen=True)
class Difference:
    """One matched launch.

    Attributes:
        key: its identity.
        mock_us, reference_us: medians over forwards.
        low, high: interval of mock / reference, against the typical kernel, by its own noise.
        typical: ratio of the typical kernel.
    """

    key: str
    mock_us: float
    reference_us: float
    low: float
    high: float
    typical: float = 1.0

    @property
    def apart_us(self) -> float:
        """What the mock takes more than the reference at the typical ratio."""
        return self.mock_us - self.typical * self.reference_us

    @property
    def allowed(self) -> float:
        """Ratio, above 1, that another place in memory explains."""
        long = min(self.mock_us, self.reference_us) >= LONG_US
        return 1 + (ELSEWHERE if long else ELSEWHERE_SHORT)

    @property
    def outside(self) -> bool:
        """Whether the whole interval lies beyond what is allowed, and the difference is seen."""
        beyond = self.low > self.allowed or self.high < 1 / self.allowed
        return beyond and abs(self.apart_us) * 1000 > 2 * TICK_NS

    @property
    def open(self) -> bool:
        """Whether its noise allows both answers."""
        return not self.outside and (self.low < 1 / self.allowed or self.high > self.allowed)

    @property
    def beyond_clocks(self) -> bool:
        """Whether it is also too large for clocks."""
        return self.outside and (self.low > CLOCKS or self.high < 1 / CLOCKS)

    def line(self) -> str:
        """As a sentence."""
        return (
            f"{display_name(self.key)}: {self.mock_us:.2f} us against {self.reference_us:.2f} us, "
            f"ratio [{self.low:.3f}, {self.high:.3f}] of the typical one by its own noise"
        )


def beyond(ratio: float) -> bool:
    """Whether a ratio lies outside the tolerance."""
    return not 1 - TOLERANCE <= ratio <= 1 + TOLERANCE


def typical_shift(shifts: Floats) -> float:
    """Logarithm of the ratio that stands for all; 0 where few launches do not agree on one."""
    middle = float(np.median(shifts))
    agreed = np.abs(shifts - middle).max() <= np.log1p(TOLERANCE)
    return middle if len(shifts) >= FEWEST_KERNELS or agreed else 0.0


def clocks_may_have_done_it(found: Sequence[Difference]) -> str:
    """Why the differences say nothing of single kernels; empty where they do or there are none."""
    if any(one.beyond_clocks for one in found):
        return ""
    if _spread(found):
        return (
            "a quarter of the kernels and another quarter moved by different factors, as clocks do"
        )
    outside = [one for one in found if one.outside]
    if outside and len(found) < FEWEST_KERNELS:
        return f"{len(found)} launches are too few to tell a kernel from the clocks"
    names = {one.key for one in outside}
    if len(names) > 1:
        return f"{len(names)} kernels moved by no more than clocks may"
    return ""


def _spread(found: Sequence[Difference]) -> bool:
    """Whether the highest quarter lies above the lowest by more than noise and tolerance."""
    if len(found) < FEWEST_KERNELS:
        return False
    high = np.quantile([one.low for one in found], 0.75)
    low = np.quantile([one.high for one in found], 0.25)
    return bool(high > low * (1 + TOLERANCE))
