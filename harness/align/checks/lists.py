"""Are the same kernels launched, and each as often?"""

from __future__ import annotations

from collections import Counter

from harness.align.checks.common import counted, failed, passed, surplus
from harness.align.model import CheckResult
from harness.align.observation import Observation
from harness.names import display_name


def names(observed: Observation) -> CheckResult:
    """The same set of kernels on both sides."""
    mock, reference = observed.keys
    missing, extra = surplus(reference, mock), surplus(mock, reference)
    if not missing and not extra:
        return passed("names", f"{len(set(mock))} different names on both sides, {observed.mode}")
    return failed(
        "names",
        f"{len(set(mock))} different names in the mock, {len(set(reference))} in the reference, "
        f"{len(set(mock) & set(reference))} in both",
        [f"missing: {line}" for line in counted(missing)]
        + [f"extra: {line}" for line in counted(extra)],
    )


def counts(observed: Observation) -> CheckResult:
    """The same number of each per forward."""
    mock, reference = (Counter(keys) for keys in observed.keys)
    wrong = [key for key in mock | reference if mock[key] != reference[key]]
    total = f"{mock.total()} per forward in the mock, {reference.total()} in the reference"
    if not wrong:
        return passed("counts", total)
    lines = [f"{display_name(key)}: {mock[key]} against {reference[key]}" for key in wrong]
    return failed("counts", f"{len(wrong)} names in other numbers; {total}", lines)


def missing(observed: Observation) -> CheckResult:
    """No launch of the reference is missing from the mock."""
    mock, reference = observed.keys
    if not (lost := Counter(reference) - Counter(mock)):
        return passed("missing", "no launch of the reference is missing from the mock")
    lines = [*counted(lost), *_places(observed, lost, "gone")]
    return failed("missing", f"{_launches(lost, mock)} of the reference", lines)


def extra(observed: Observation) -> CheckResult:
    """The mock makes no launch of its own."""
    mock, reference = observed.keys
    if not (own := Counter(mock) - Counter(reference)):
        return passed("extra", "the mock launches nothing of its own")
    lines = [*counted(own), *_places(observed, own, "new")]
    return failed("extra", f"{_launches(own, reference)} of the mock alone", lines)


def _places(observed: Observation, wanted: Counter[str], side: str) -> list[str]:
    """Where the edit script has them: in which region, between what."""
    return [
        change.line()
        for change in observed.changes
        if not wanted.keys().isdisjoint(change.gone if side == "gone" else change.new)
    ]


def _launches(found: Counter[str], other: list[str]) -> str:
    there = set(other)
    shared = sum(count for key, count in found.items() if key in there)
    noun = "launch" if found.total() == 1 else "launches"
    more = f" ({shared} more of a kernel that both have)" if shared else ""
    return f"{found.total()} {noun}{more}"
