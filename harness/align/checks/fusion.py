"""Does one side do in one kernel what the other does in several?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.align.changes import region_names
from harness.align.checks.common import limited, passed, shown
from harness.align.durations import Floats, launch_ns
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.align.streams import StreamPair

NAME = "fusion"


@dataclass(frozen=True)
class Fused:
    """Launches between the same neighbours, in one region: few of one side, more of the other.

    Attributes:
        mock, reference: identity keys in order; at least one each, not as many.
        region: name of the region of all; empty where it is not known.
        mock_us, reference_us: summed median durations; None where there are no times.
    """

    mock: tuple[str, ...]
    reference: tuple[str, ...]
    region: str
    mock_us: float | None
    reference_us: float | None

    def line(self) -> str:
        """As a sentence, fewer launches first."""
        mock = f"{shown(self.mock)} of the mock"
        reference = f"{shown(self.reference)} of the reference"
        fewer, more = (
            (mock, reference) if len(self.mock) < len(self.reference) else (reference, mock)
        )
        region = f" in {self.region}" if self.region else ""
        return f"{fewer} against {more}{region}{self._times()}"

    def _times(self) -> str:
        if self.mock_us is None or self.reference_us is None:
            return ""
        return f": {self.mock_us:.2f} us in the mock, {self.reference_us:.2f} us in the reference"


def fusion(observed: Observation) -> CheckResult:
    """No kernel stands between the same neighbours where the other side has several.

    A norm that is fused on one side, a GEMM against a split-K GEMM and its reduction: names and
    counts show that kernels differ, this shows that they do one job, and what each side spends.
    """
    found = fused(observed)
    if not found:
        return passed(NAME, "no kernel of one side stands for several of the other")
    places = "place" if len(found) == 1 else "places"
    text = f"one side launches more kernels for the same work in {len(found)} {places}{_sum(found)}"
    lines = limited(one.line() for one in found)
    return CheckResult(NAME, Status.FAIL, text, lines, {"fused": [_plain(one) for one in found]})


def fused(observed: Observation) -> list[Fused]:
    """Every place where launches of one side stand for more of the other, in order."""
    assert observed.reference is not None
    sides = (observed.mock, observed.reference)
    replay = observed.mode == "graph replay"
    times = [_medians(launch_ns(s.replay_forwards if replay else s.eager_forwards)) for s in sides]
    regions = [region_names(trace) for trace in observed.lists]
    return [one for pair in observed.matching for one in _fused(pair, times, regions)]


def _fused(pair: StreamPair, times: list[Floats], regions: list[list[str]]) -> list[Fused]:
    found = []
    for edit in pair.pairing.edits:
        mock = list(pair.mock_rows[edit.new_start : edit.new_stop])
        reference = list(pair.reference_rows[edit.start : edit.stop])
        within = {regions[0][row] for row in mock} | {regions[1][row] for row in reference}
        if mock and reference and len(mock) != len(reference) and len(within) == 1:
            found.append(
                Fused(
                    pair.mock[edit.new_start : edit.new_stop],
                    pair.reference[edit.start : edit.stop],
                    within.pop(),
                    _microseconds(times[0], mock),
                    _microseconds(times[1], reference),
                )
            )
    return found


def _medians(durations: Floats) -> Floats:
    return np.median(durations, axis=0) if len(durations) else np.empty(0)


def _microseconds(medians: Floats, rows: list[int]) -> float | None:
    total = float(medians[rows].sum()) / 1000
    return None if np.isnan(total) else total


def _sum(found: list[Fused]) -> str:
    mock, reference = [one.mock_us for one in found], [one.reference_us for one in found]
    if None in mock or None in reference:
        return ""
    ours, theirs = (sum(value or 0.0 for value in side) for side in (mock, reference))
    return f": {ours:.2f} us in the mock, {theirs:.2f} us in the reference"


def _plain(one: Fused) -> dict[str, Any]:
    return {
        "mock": list(one.mock),
        "reference": list(one.reference),
        "region": one.region,
        "mock_us": one.mock_us,
        "reference_us": one.reference_us,
    }
