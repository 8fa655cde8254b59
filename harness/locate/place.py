"""Occurrences with their times, steps, layers and phases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.analyze.intervals import union_ns
from harness.analyze.work import UNKNOWN
from harness.locate.hits import Hit
from harness.locate.layer_numbers import layer_number
from harness.locate.located import Occurrence
from harness.locate.step_lookup import StepTable


def in_steps(found: Sequence[Hit], steps: StepTable) -> list[Occurrence]:
    """Every occurrence with its step and layer, in the order of the starts."""
    ordered = sorted(found, key=lambda one: int(one.launches.starts[one.places[0]]))
    placed = [_in_step(one, steps) for one in ordered]
    layers: Counter[tuple[int | None, int | None, int | None]] = Counter()
    numbered = []
    for one in placed:
        if steps.rows and one.step is None:
            numbered.append(one)
            continue
        key = (one.process, one.device, one.step)
        named = layer_number(one.region)
        numbered.append(replace(one, layer=layers[key] if named is None else named))
        layers[key] += 1
    return numbered


def _in_step(one: Hit, steps: StepTable) -> Occurrence:
    launches, places = one.launches, one.places
    starts, ends = launches.starts[places], launches.ends[places]
    timed = bool((starts != UNKNOWN).all() and (ends != UNKNOWN).all())
    start = int(starts[0])
    row = steps.of(launches, start) if timed else None
    made = Occurrence(
        rows=tuple(launches.rows[places].tolist()),
        process=launches.process,
        device=launches.device,
        position=int(places[0]),
        start_ns=start if timed else None,
        end_ns=int(ends.max()) if timed else None,
        busy_ns=union_ns(starts, ends) if timed else None,
        score=None if one.score is None else max(0.0, round(one.score, 6)),
        missing=one.missing,
        extra=one.extra,
        region=one.region,
    )
    if row is None:
        whole = "unknown" if not steps.rows else made.state
        return replace(made, state=whole, step_position=None if steps.rows else made.position)
    first = int(np.searchsorted(launches.starts, row["start_ns"]))
    return replace(
        made,
        step=row["step"],
        phase=row["phase"],
        state=row["state"],
        step_position=int(places[0]) - first,
    )
