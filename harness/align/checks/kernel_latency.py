"""Does each kernel take as long on both sides, as far as its own noise lets one say?

Both sides are recorded one after the other and traced, at clocks that nobody locked. What moves
all kernels alike says something about the clocks and is left to the check `latency`, which is
interleaved and untraced; here each kernel is held against the typical one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from harness.align.checks.common import limited, skipped
from harness.align.durations import Floats, device_times, launch_ns
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.names import display_name
from harness.trace import Trace

NAME = "kernel latency"

TOLERANCE = 0.05
"""Of one kernel's duration. Two halves of one nsys recording of vLLM's DSA layer on an H200 (10
replays each) differ by up to 1.2 % (decode) and 1.9 % (prefill) in a kernel of 5 us or more, and by
up to 3 % and 12 % in a shorter one (benchmarks/results/cpu/kernel_latency_splits.json)."""

TICK_NS = 32
"""Step of the timer of the H200; a difference within two steps is none."""

FEWEST_FORWARDS = 5
"""Forwards of each side from which a kernel's noise is known. Of 1,000 random splits of a recording
3 name a kernel with three a side, 1 with five (prefill; none in decode)."""

FEWEST_KERNELS = 8
"""Matched kernels from which their median tells the clocks from a kernel."""

CONFIDENCE = 0.99
"""That none of all kernels is named by chance alone (Bonferroni)."""


@dataclass(frozen=True)
class Difference:
    """One matched launch.

    Attributes:
        key: its identity.
        mock_us, reference_us: medians over forwards.
        low, high: interval of mock / reference, against the typical kernel, by its own noise.
    """

    key: str
    mock_us: float
    reference_us: float
    low: float
    high: float

    @property
    def outside(self) -> bool:
        """Whether the whole interval lies beyond the tolerance, and the difference is seen."""
        beyond = self.low > 1 + TOLERANCE or self.high < 1 - TOLERANCE
        return beyond and abs(self.mock_us - self.reference_us) * 1000 > 2 * TICK_NS

    @property
    def open(self) -> bool:
        """Whether its noise allows both answers."""
        return not self.outside and (self.low < 1 - TOLERANCE or self.high > 1 + TOLERANCE)

    def line(self) -> str:
        """As a sentence."""
        return (
            f"{display_name(self.key)}: {self.mock_us:.2f} us against {self.reference_us:.2f} us, "
            f"ratio [{self.low:.3f}, {self.high:.3f}] by its own noise"
        )


def kernel_latency(observed: Observation) -> CheckResult:
    """No matched kernel's interval of mock / reference lies wholly beyond `TOLERANCE`."""
    assert observed.reference is not None
    replay = observed.mode == "graph replay"
    sides = (observed.mock, observed.reference)
    forwards = [side.replay_forwards if replay else side.eager_forwards for side in sides]
    mock, reference = (launch_ns(each) for each in forwards)
    data = {side.label: _figures(each) for side, each in zip(sides, forwards, strict=True)}
    if any(np.isnan(each).any() or not each.size for each in (mock, reference)):
        return skipped(NAME, "the recorder gives no times")
    least = min(len(mock), len(reference))
    if least < FEWEST_FORWARDS:
        text = f"{least} forwards launch the same, and noise needs {FEWEST_FORWARDS}"
        return CheckResult(NAME, Status.SKIPPED, text, data=data)
    rows = [matched for pair in observed.matching for matched in pair.matched_rows()]
    if not rows:
        return CheckResult(NAME, Status.SKIPPED, "no two launches have one name", data=data)
    found, typical = differences(mock, reference, rows, observed.keys[0])
    return _result(found, typical, data)


def differences(
    mock: Floats, reference: Floats, rows: Sequence[tuple[int, int]], keys: Sequence[str]
) -> tuple[list[Difference], float]:
    """Each matched launch, and the ratio of the typical one.

    The interval is that of Welch's t test of the logarithms, at a level shared by all launches.

    Args:
        mock, reference: ns, shape (forwards, launches).
        rows: (column in ``mock``, column in ``reference``) of each pair; at least one.
        keys: identity of each column of ``mock``.
    """
    # A timer in steps of TICK_NS is uniform within one: standard deviation TICK_NS / sqrt(12).
    ours, theirs = (np.log(np.maximum(each, TICK_NS)) for each in (mock, reference))
    one, other = np.array(rows).T
    shift = ours.mean(axis=0)[one] - theirs.mean(axis=0)[other]
    typical = float(np.median(shift)) if len(rows) >= FEWEST_KERNELS else 0.0
    variances = [_variance(ours, mock)[one], _variance(theirs, reference)[other]]
    error = np.sqrt(variances[0] + variances[1])
    freedom = (variances[0] + variances[1]) ** 2 / (
        variances[0] ** 2 / (len(mock) - 1) + variances[1] ** 2 / (len(reference) - 1)
    )
    half = error * stats.t.ppf(1 - (1 - CONFIDENCE) / (2 * len(rows)), freedom)
    medians = [np.median(each, axis=0) / 1000 for each in (mock, reference)]
    found = [
        Difference(
            keys[a],
            float(medians[0][a]),
            float(medians[1][b]),
            math.exp(shift[at] - typical - half[at]),
            math.exp(shift[at] - typical + half[at]),
        )
        for at, (a, b) in enumerate(rows)
    ]
    return found, math.exp(typical)


def _variance(logarithms: Floats, durations: Floats) -> Floats:
    """Of the mean logarithm of each launch; at least that of the timer's step."""
    step = TICK_NS / math.sqrt(12) / np.maximum(np.median(durations, axis=0), TICK_NS)
    own = logarithms.var(axis=0, ddof=1)
    variances: Floats = np.maximum(own, step**2) / len(durations)
    return variances


def _result(found: list[Difference], typical: float, data: dict[str, Any]) -> CheckResult:
    outside = [one for one in found if one.outside]
    undecided = sum(one.open for one in found)
    data |= {"typical_ratio": typical, "outside": len(outside), "open": undecided}
    text = (
        f"{len(outside)} of {len(found)} matched launches beyond 1 +- {TOLERANCE:.0%} of the "
        f"typical ratio {typical:.3f}, {undecided} too noisy to say; {_whole(data)}"
    )
    worst = sorted(outside, key=lambda one: -abs(one.mock_us - one.reference_us))
    status = Status.FAIL if outside else Status.PASS
    return CheckResult(NAME, status, text, limited(one.line() for one in worst), data)


def _whole(data: dict[str, Any]) -> str:
    """Busy time (union), span and gaps of a forward of both sides."""
    mock, reference = data["mock"], data["reference"]
    return ", ".join(
        f"{name} {mock[f'{name}_us']:.1f} against {reference[f'{name}_us']:.1f} us"
        for name in ("busy", "span", "gaps")
    )


def _figures(forwards: Sequence[Trace]) -> dict[str, float]:
    """Medians over forwards, in us."""
    times = [found for forward in forwards if (found := device_times(forward)) is not None]
    if not times:
        return {}
    return {
        name.replace("_ns", "_us"): statistics.median(one[name] for one in times) / 1000
        for name in times[0]
    }
