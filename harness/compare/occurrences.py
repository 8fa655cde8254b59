"""Which of the occurrences located in a model are the reference."""

from __future__ import annotations

import statistics
from pathlib import Path

from harness.locate import Located, Occurrence

BY_REGION = "region"
"""Method of `harness.locate.Located` that knows where the operator begins and ends."""

ENDS = (
    "where the operator begins and ends in the model is told by the mock's own list: what the mock "
    "lacks before its first launch or after its last is not seen; name its --region to see it"
)


def chosen(found: Located, path: Path) -> tuple[list[Occurrence], tuple[str, ...]]:
    """The occurrences of steady steps of one phase, and notes that say so."""
    kept, left = _one_phase(_steady(found))
    text = (
        f"the reference is {len(kept)} of {len(found.occurrences)} occurrences located in "
        f"{path.name} by {found.method} ({found.because}){left}"
    )
    ends = (ENDS,) if found.method != BY_REGION else ()
    return kept, (text, *ends, *found.notes)


def _steady(found: Located) -> list[Occurrence]:
    """The occurrences of steady steps; without any, those in a step; else all."""
    for states in (("steady",), ("steady", "warm-up", "unknown")):
        kept = [one for one in found.occurrences if one.state in states]
        if kept:
            return kept
    return list(found.occurrences)


def _one_phase(found: list[Occurrence]) -> tuple[list[Occurrence], str]:
    """Those of the phase with the better scores (median), and what was left out.

    Prefill and decode share most of their small kernels, so that a mock of one may be located in
    the other too. Within a phase nothing is chosen by its score, which would hide differences.
    """
    phases: dict[str, list[float]] = {}
    for one in found:
        phases.setdefault(one.phase, []).append(one.score or 0.0)
    medians = {phase: statistics.median(scores) for phase, scores in phases.items()}
    best = max(medians, key=lambda phase: medians[phase])
    others = [phase for phase in phases if phase != best]
    left = ", ".join(f"{len(phases[one])} in {one} score {medians[one]:.2f}" for one in others)
    kept = [one for one in found if one.phase == best]
    return kept, f"; left out: {left}, against {medians[best]:.2f} in {best}" if left else ""
