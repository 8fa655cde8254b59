"""What locating an operator gives: its occurrences, and what was decided on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from harness.align.model import Cause

REGION, PATTERN, ALIGNMENT = "region", "pattern", "alignment"
METHODS = (REGION, PATTERN, ALIGNMENT)
"""How an operator is located, in the order of preference."""


@dataclass(frozen=True)
class Occurrence:
    """One run of the operator inside the model.

    Attributes:
        rows: places of its launches in the Trace's activities, ascending.
        process, device: where it ran; None where the source does not say.
        position: how many launches of the device came before its first.
        start_ns, end_ns: first start and last end; None where the source has no times.
        busy_ns: time in which at least one of its launches ran.
        score: 1 - edits / launches of the mock, 0 to 1; None without a mock.
        missing: launches of the mock that it lacks.
        extra: launches of its own between those of the mock.
        region: name of the region that it was located by; empty otherwise.
        step: number of its step on its device; None in none.
        layer: its place among the occurrences of its step, from 0; the number in the region's name
            where it has one.
        phase: prefill, decode, mixed or unknown.
        state: of its step: warm-up, steady, cut, unknown; ``outside`` in none.
        step_position: how many launches of its step came before its first.
    """

    rows: tuple[int, ...]
    process: int | None
    device: int | None
    position: int
    start_ns: int | None = None
    end_ns: int | None = None
    busy_ns: int | None = None
    score: float | None = None
    missing: int = 0
    extra: int = 0
    region: str = ""
    step: int | None = None
    layer: int | None = None
    phase: str = "unknown"
    state: str = "outside"
    step_position: int | None = None


@dataclass(frozen=True, eq=False)
class Located:
    """The answer.

    Attributes:
        method: of `METHODS`.
        because: why that one, and what it went by.
        occurrences: in the order of their starts.
        minimum: score below which an occurrence is refused.
        best: highest score of anything looked at; None where no score was made.
        refused: occurrences that were found and scored below ``minimum``.
        reason: why there is no occurrence; empty when there is one.
        steps_rule: how steps were told.
        layers: columns of `harness.locate.table.LAYERS`.
        phases: columns of `harness.locate.table.PHASES`.
        around: the launches next to the occurrences on their devices, most frequent first:
            ``where`` (before, after), ``name`` and ``occurrences``.
        variants: different launch lists among the occurrences: names and how many have them.
        notes: what the reader must know.
        causes: why there may be no occurrence, best supported first; none when there is one.
    """

    method: str
    because: str
    occurrences: tuple[Occurrence, ...]
    minimum: float
    best: float | None
    refused: int
    reason: str
    steps_rule: str
    layers: pa.Table
    phases: pa.Table
    variants: tuple[Mapping[str, Any], ...] = ()
    around: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = field(default=())
    causes: tuple[Cause, ...] = field(default=())

    @property
    def found(self) -> bool:
        """Whether there is an occurrence."""
        return bool(self.occurrences)
