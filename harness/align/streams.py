"""The launches of two Traces, stream by stream.

A stream is one of a process, a device and a context: ids alone repeat. They differ between any two
runs, and which of two streams launches first is a race, so
streams are paired by what they launch: first those with equal sequences, the rest in the order in
which they first launch something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from harness.align.pairs import Pairing, pair_lists
from harness.align.script import Ints
from harness.trace import Trace

DEVICE = ("process", "device")
"""Columns that say which card ran an activity: processes may number cards by themselves."""

STREAM = (*DEVICE, "context", "stream")
"""Columns that say which stream did: ids of streams repeat on other cards and in other contexts."""


@dataclass(frozen=True)
class StreamPair:
    """One stream of each side; a side that has one fewer has empty lists.

    Attributes:
        mock, reference: identity keys in launch order.
        mock_rows, reference_rows: their rows in the Traces.
    """

    mock: tuple[str, ...]
    reference: tuple[str, ...]
    mock_rows: Sequence[int]
    reference_rows: Sequence[int]

    @cached_property
    def pairing(self) -> Pairing:
        """The edit script from the reference's launches to the mock's."""
        return pair_lists(self.reference, self.mock)

    def edits(self) -> Iterator[tuple[int, tuple[str, ...], tuple[str, ...]]]:
        """(position in the reference, what the mock lacks there, what it has in its place)."""
        for edit in self.pairing.edits:
            gone = self.reference[edit.start : edit.stop]
            yield edit.start, gone, self.mock[edit.new_start : edit.new_stop]

    def matched_rows(self) -> Iterator[tuple[int, int]]:
        """(row in the mock, row in the reference) of each launch that both have."""
        for one, other in self.pairing.exact():
            yield self.mock_rows[one], self.reference_rows[other]

    def matched_columns(self) -> tuple[Ints, Ints]:
        """What `matched_rows` yields as two arrays of one length, for long lists."""
        one, other = self.pairing.exact_positions()
        mock, reference = (
            np.asarray(rows, np.int64) for rows in (self.mock_rows, self.reference_rows)
        )
        return mock[one], reference[other]

    def related_rows(self) -> Iterator[tuple[int, int]]:
        """The same of other kernels of one family that stand in one place."""
        for one, other in self.pairing.related:
            yield self.mock_rows[one], self.reference_rows[other]


def merged_streams(mock_keys: list[str], reference_keys: list[str]) -> StreamPair:
    """All launches in the order in which they began, whatever their streams."""
    mock, reference = tuple(mock_keys), tuple(reference_keys)
    return StreamPair(mock, reference, range(len(mock)), range(len(reference)))


def pair_streams(
    mock: Trace, mock_keys: list[str], reference: Trace, reference_keys: list[str]
) -> list[StreamPair]:
    """Pair the streams of two Traces; see the module's text."""
    ours, theirs = _by_stream(mock, mock_keys), _by_stream(reference, reference_keys)
    pairs = []
    for stream in list(ours):
        twin = next((other for other in theirs if other.keys == stream.keys), None)
        if twin is not None:
            pairs.append(_pair(stream, twin))
            ours.remove(stream)
            theirs.remove(twin)
    for at in range(max(len(ours), len(theirs))):
        one = ours[at] if at < len(ours) else _Stream((), ())
        pairs.append(_pair(one, theirs[at] if at < len(theirs) else _Stream((), ())))
    return pairs


def place_numbers(activities: pa.Table, columns: Sequence[str] = STREAM) -> Ints:
    """Which stream, or device, each activity ran on: numbers from 0 in the order of first use.

    Args:
        activities: of a Trace.
        columns: whose values together tell one place from another; null is a value.
    """
    numbers = np.zeros(len(activities), np.int64)
    for name in columns:
        values = activities[name].combine_chunks().dictionary_encode(null_encoding="encode")
        numbers = numbers * len(values.dictionary) + values.indices.to_numpy()
        numbers = pa.array(numbers).dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers


@dataclass(frozen=True)
class _Stream:
    keys: tuple[str, ...]
    rows: Sequence[int]


def _by_stream(trace: Trace, keys: list[str]) -> list[_Stream]:
    numbers = place_numbers(trace.activities)
    count = int(numbers.max(initial=-1)) + 1
    if count == 1:
        return [_Stream(tuple(keys), range(len(keys)))]
    rows = [tuple(np.flatnonzero(numbers == number).tolist()) for number in range(count)]
    return [_Stream(tuple(keys[row] for row in each), each) for each in rows]


def _pair(mock: _Stream, reference: _Stream) -> StreamPair:
    return StreamPair(mock.keys, reference.keys, mock.rows, reference.rows)
