"""Does one side do in one kernel what the other does in several?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.align.changes import region_names
from harness.align.checks.common import limited, passed, shown
from harness.align.durations import Floats, launch_ns
from harness.align.explain.rules import read_rulebook
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.align.script import Edit
from harness.align.streams import StreamPair
from harness.trace import Trace

NAME = "fusion"

MOST_FUSED = 2
"""Launches of the side that has fewer: a fused norm may have another of the residual beside it."""

_REDUCTION = re.compile(r"(?i)split_?k_?reduce|reduce_kernel|reduction|aten::sum\b")


@dataclass(frozen=True)
class Fused:
    """Launches between the same neighbours, in one region: few of one side, more of the other.

    Attributes:
        mock, reference: identity keys in order; at least one each, not as many.
        region: its name, or what the names of both sides end in; empty where it is not known.
        job: ``norm`` or ``GEMM`` where the names show one; empty where only the place does.
        mock_us, reference_us: summed median durations; None where there are no times.
    """

    mock: tuple[str, ...]
    reference: tuple[str, ...]
    region: str
    job: str
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
    Where the names show no job, one kernel against several in one place is told as just that, and
    longer lists against each other as nothing: those are other operators.
    """
    found = fused(observed)
    if not found:
        return passed(NAME, "no kernel of one side stands for several of the other")
    parts = [
        f"{what} in {len(group)} place{'s' if len(group) > 1 else ''}{_sum(group)}"
        for what, group in (
            ("one side launches more kernels for the same work", [o for o in found if o.job]),
            (
                "several launches stand where the other side has one",
                [o for o in found if not o.job],
            ),
        )
        if group
    ]
    lines = limited(one.line() for one in found)
    data = {"fused": [_plain(one) for one in found]}
    return CheckResult(NAME, Status.FAIL, "; ".join(parts), lines, data)


def fused(observed: Observation) -> list[Fused]:
    """Every place where launches of one side stand for more of the other, in order."""
    assert observed.reference is not None
    if not any(pair.pairing.edits for pair in observed.matching):
        return []
    sides = (observed.mock, observed.reference)
    replay = observed.mode == "graph replay"
    times = [_medians(launch_ns(s.replay_forwards if replay else s.eager_forwards)) for s in sides]
    lists = [_Launches(trace) for trace in observed.lists]
    return [
        one
        for pair in observed.matching
        for edit in pair.pairing.edits
        if (one := _fused(pair, edit, times, lists)) is not None
    ]


class _Launches:
    """What of a list is asked for row by row."""

    def __init__(self, trace: Trace) -> None:
        self.regions = region_names(trace)
        self._kinds = trace.activities["kind"]

    def is_work(self, row: int) -> bool:
        """Whether it is no copy and no fill: these are not fused."""
        return self._kinds[row].as_py() not in ("memcpy", "memset")


def _fused(
    pair: StreamPair, edit: Edit, times: Sequence[Floats], lists: Sequence[_Launches]
) -> Fused | None:
    new, old = slice(edit.new_start, edit.new_stop), slice(edit.start, edit.stop)
    sides = (pair.mock[new], pair.reference[old])
    rows = (list(pair.mock_rows[new]), list(pair.reference_rows[old]))
    fewer, more = sorted((0, 1), key=lambda side: len(rows[side]))
    if not 0 < len(rows[fewer]) <= MOST_FUSED or len(rows[fewer]) == len(rows[more]):
        return None
    within = {lists[side].regions[row] for side in (0, 1) for row in rows[side]}
    if len({_part(name) for name in within}) > 1:
        return None
    job = _job(sides[fewer], sides[more])
    if not job and not _one_for_several(pair, edit, rows[fewer], rows[more], lists, fewer):
        return None
    region = within.pop() if len(within) == 1 else _part(within.pop())
    spent = [_microseconds(each, launches) for each, launches in zip(times, rows, strict=True)]
    return Fused(sides[0], sides[1], region, job, spent[0], spent[1])


def _part(region: str) -> str:
    """The last part of a region's name that is no number: ``norm`` of ``layers.0.norm``, by which
    a mock's ``mock.norm`` is the same submodule."""
    parts = [part for part in re.split(r"[./:]", region) if part and not part.isdecimal()]
    return parts[-1] if parts else region


def _job(fewer: Sequence[str], more: Sequence[str]) -> str:
    """What both do, as far as names show it (the kernels of causes.toml)."""
    kernels = read_rulebook().kernels
    norm, part, gemm = (kernels[name] for name in ("fused norm", "norm part", "gemm"))
    if all(norm.search(key) for key in fewer) and sum(bool(part.search(key)) for key in more) > 1:
        return "norm"
    if len(fewer) > 1 or not gemm.search(fewer[0]) or _REDUCTION.search(fewer[0]):
        return ""
    reductions = [key for key in more if _REDUCTION.search(key)]
    others = [key for key in more if not _REDUCTION.search(key)]
    return "GEMM" if reductions and others and all(gemm.search(key) for key in others) else ""


def _one_for_several(
    pair: StreamPair, edit: Edit, one: list[int], several: list[int],
    lists: Sequence[_Launches], fewer: int,
) -> bool:  # fmt: skip
    """Whether one kernel stands against several, none of which is that kernel with another tile."""
    related = any(edit.new_start <= new < edit.new_stop for new, _ in pair.pairing.related)
    work = sum(lists[1 - fewer].is_work(row) for row in several)
    return len(one) == 1 and lists[fewer].is_work(one[0]) and work > 1 and not related


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
        "job": one.job,
        "mock_us": one.mock_us,
        "reference_us": one.reference_us,
    }
