"""Occurrences that are known by patterns alone, once the steps are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness.locate.by_pattern import Patterns, incomplete
from harness.locate.hits import Hit
from harness.locate.step_lookup import StepTable

_LISTED = 4


def split_at_steps(hits: Sequence[Hit], steps: StepTable) -> list[Hit]:
    """The same kernels, none of an occurrence in another step than the others."""
    return [part for hit in hits for part in _parts(hit, steps)]


def _parts(hit: Hit, steps: StepTable) -> Iterator[Hit]:
    if not steps.rows:
        yield hit
        return
    found = [steps.of(hit.launches, start) for start in hit.launches.starts[hit.places].tolist()]
    numbers = [None if row is None else row["step"] for row in found]
    cuts = [at for at in range(1, len(numbers)) if numbers[at] != numbers[at - 1]]
    for places in np.split(hit.places, cuts):
        yield replace(hit, places=places)


def notes_of(hits: Sequence[Hit], patterns: Patterns) -> list[str]:
    """What the reader must know of occurrences without a list: their extent, and partial ones."""
    notes = ["without a mock an occurrence is only the kernels that match a pattern"]
    usual, fewer = incomplete([hit.names for hit in hits], patterns)
    if fewer:
        where = ", ".join(str(hits[one].places[0]) for one in fewer[:_LISTED])
        more = ", ..." if len(fewer) > _LISTED else ""
        notes.append(
            f"{len(fewer)} of {len(hits)} occurrences are partial: they have kernels of fewer than "
            f"the usual {usual} patterns (at launches {where}{more})"
        )
    return notes
