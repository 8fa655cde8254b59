"""Occurrences put together: per layer, per phase, and which launch lists there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any

import numpy as np
import pyarrow as pa

from harness.analyze.step_table import STEADY
from harness.locate.hits import Hit
from harness.locate.located import Occurrence

_WHERE = [
    pa.field("process", pa.int32()),
    pa.field("device", pa.int32()),
    pa.field("phase", pa.string()),
]
_FIGURES = [
    pa.field("occurrences", pa.int64()),
    pa.field("steady", pa.int64()),  # of them in steady steps; figures are of these if there are
    pa.field("launches_median", pa.int64()),
    pa.field("score_min", pa.float64()),
    pa.field("busy_ns_median", pa.float64()),
    pa.field("busy_ns_min", pa.int64()),
    pa.field("busy_ns_max", pa.int64()),
]

LAYERS = pa.schema(
    [
        *_WHERE,
        pa.field("layer", pa.int64()),
        pa.field("position_median", pa.int64()),  # launches of the step before its first
        *_FIGURES,
        pa.field("spread_share_of_median", pa.float64()),  # (max - min) / median over steps
    ]
)
"""Columns of the table of layers; null where the source does not say."""

PHASES = pa.schema(
    [
        *_WHERE,
        pa.field("steps", pa.int64()),
        pa.field("layers_min", pa.int64()),  # occurrences per step
        pa.field("layers_max", pa.int64()),
        *_FIGURES,
        pa.field("layers_share_of_median", pa.float64()),  # (max - min) / median of layer medians
        pa.field("steps_share_of_median", pa.float64()),  # median over layers of their spread
    ]
)
"""Columns of the table of phases; occurrences in no step have no steps."""

Rows = list[dict[str, Any]]


def layer_table(occurrences: Iterable[Occurrence]) -> pa.Table:
    """One row per device, phase and layer; occurrences in no step are in none."""
    rows = []
    for key, members in _grouped(occurrences, "process", "device", "phase", "layer").items():
        if key[3] is None:
            continue
        figures = _figures(members)
        positions = [one.step_position for one in _meant(members) if one.step_position is not None]
        rows.append(
            {
                **dict(zip(("process", "device", "phase", "layer"), key, strict=True)),
                "position_median": median_low(positions) if positions else None,
                **figures,
                "spread_share_of_median": _spread(
                    [one.busy_ns for one in _meant(members) if one.busy_ns is not None]
                ),
            }
        )
    return pa.Table.from_pylist(rows, LAYERS)


def phase_table(occurrences: Iterable[Occurrence], layers: pa.Table) -> pa.Table:
    """One row per device and phase, and one for what is in no step."""
    by_layer: dict[tuple[Any, ...], Rows] = {}
    for row in layers.to_pylist():
        by_layer.setdefault((row["process"], row["device"], row["phase"]), []).append(row)
    rows = []
    for key, members in _grouped(occurrences, "process", "device", "phase", "in_step").items():
        steps = Counter(one.step for one in members) if key[3] else Counter()
        mine = by_layer.get(key[:3], []) if key[3] else []
        medians = [row["busy_ns_median"] for row in mine if row["busy_ns_median"] is not None]
        spreads = [
            row["spread_share_of_median"]
            for row in mine
            if row["spread_share_of_median"] is not None
        ]
        rows.append(
            {
                **dict(zip(("process", "device", "phase"), key, strict=False)),
                "steps": len(steps) if key[3] else None,
                "layers_min": min(steps.values(), default=None),
                "layers_max": max(steps.values(), default=None),
                **_figures(members),
                "layers_share_of_median": _spread(medians),
                "steps_share_of_median": float(np.median(spreads)) if spreads else None,
            }
        )
    return pa.Table.from_pylist(rows, PHASES)


def variants(lists: Sequence[tuple[str, ...]]) -> tuple[Mapping[str, Any], ...]:
    """The different launch lists, most frequent first: names, how many launches, how many have it.

    Args:
        lists: identity keys of each occurrence.
    """
    return tuple(
        {"occurrences": count, "launches": len(names), "names": list(names)}
        for names, count in Counter(lists).most_common()
    )


def around(found: Sequence[Hit]) -> tuple[Mapping[str, Any], ...]:
    """The launches right before and right after the occurrences, most frequent first."""
    seen: Counter[tuple[str, str]] = Counter()
    for one in found:
        for where, place in (("before", one.places[0] - 1), ("after", one.places[-1] + 1)):
            if 0 <= place < len(one.launches):
                seen[where, one.launches.names[place]] += 1
    return tuple(
        {"where": where, "name": name, "occurrences": count}
        for (where, name), count in seen.most_common()
    )


def _grouped(
    occurrences: Iterable[Occurrence], *names: str
) -> dict[tuple[Any, ...], list[Occurrence]]:
    groups: dict[tuple[Any, ...], list[Occurrence]] = {}
    for one in occurrences:
        values = {**vars(one), "in_step": one.layer is not None}
        groups.setdefault(tuple(values[name] for name in names), []).append(one)
    return groups


def _meant(members: list[Occurrence]) -> list[Occurrence]:
    """Those of steady steps; all, where none is."""
    return [one for one in members if one.state == STEADY] or members


def _figures(members: list[Occurrence]) -> dict[str, Any]:
    meant = _meant(members)
    scores = [one.score for one in members if one.score is not None]
    busy = [one.busy_ns for one in meant if one.busy_ns is not None]
    return {
        "occurrences": len(members),
        "steady": sum(one.state == STEADY for one in members),
        "launches_median": median_low(len(one.rows) for one in meant),
        "score_min": min(scores, default=None),
        "busy_ns_median": float(np.median(busy)) if busy else None,
        "busy_ns_min": min(busy, default=None),
        "busy_ns_max": max(busy, default=None),
    }


def _spread(values: Sequence[float]) -> float | None:
    """(largest - smallest) / median; None for fewer than two values."""
    middle = float(np.median(values)) if len(values) > 1 else 0.0
    return (max(values) - min(values)) / middle if middle > 0 else None
