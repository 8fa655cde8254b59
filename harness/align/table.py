"""The kernel table: each kernel as both sides ran it, per forward."""

from __future__ import annotations

import statistics
from collections import Counter

import pyarrow.compute as pc

from harness.align.model import KernelRow
from harness.align.observation import Observation, SideObservation
from harness.names import display_name, identity_keys
from harness.trace import Trace


def kernel_table(observed: Observation) -> tuple[KernelRow, ...]:
    """One row per name, longest in the reference first (ATen calls: in order of first call)."""
    mock_keys, reference_keys = observed.keys
    mock_counts, reference_counts = Counter(mock_keys), Counter(reference_keys)
    mock_us = _times(observed.mock, observed.mode)
    assert observed.reference is not None
    reference_us = _times(observed.reference, observed.mode)
    kinds = _kinds(observed)
    rows = [
        KernelRow(
            name=key,
            display=display_name(key, kinds[key]),
            kind=kinds[key],
            mock_count=mock_counts[key],
            reference_count=reference_counts[key],
            mock_us=mock_us.get(key),
            reference_us=reference_us.get(key),
            match=_match(mock_counts[key], reference_counts[key]),
        )
        for key in dict.fromkeys([*reference_keys, *mock_keys])
    ]
    return tuple(sorted(rows, key=lambda row: -(row.reference_us or row.mock_us or 0.0)))


def _match(mock: int, reference: int) -> str:
    if mock == reference:
        return "="
    if not mock or not reference:
        return "+" if mock else "-"
    return "#"


def _kinds(observed: Observation) -> dict[str, str]:
    found: dict[str, str] = {}
    for trace, keys in zip(observed.lists, observed.keys, strict=True):
        found.update(zip(keys, trace.activities["kind"].to_pylist(), strict=True))
    return found


def _times(side: SideObservation, mode: str) -> dict[str, float]:
    """Microseconds per forward by name: the median over the recorded forwards."""
    forwards = side.replay_forwards if mode == "graph replay" else side.eager_forwards
    samples: dict[str, list[float]] = {}
    for forward in forwards:
        for key, microseconds in _summed(forward).items():
            samples.setdefault(key, []).append(microseconds)
    return {key: statistics.median(values) for key, values in samples.items()}


def _summed(forward: Trace) -> dict[str, float]:
    table = forward.activities
    totals: dict[str, float] = {}
    spans = pc.subtract(table["end_ns"], table["start_ns"]).to_pylist()
    for key, span in zip(identity_keys(forward), spans, strict=True):
        if span is not None:
            totals[key] = totals.get(key, 0.0) + span / 1000
    return totals
