"""The launches of two Traces, stream by stream.

Stream ids differ between any two runs, and which of two streams launches first is a race, so
streams are paired by what they launch: first those with equal sequences, the rest in the order in
which they first launch something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from harness.align.pairs import Pairing, pair_lists
from harness.trace import Trace


@dataclass(frozen=True)
class StreamPair:
    """One stream of each side; a side that has one fewer has empty lists.

    Attributes:
        mock, reference: identity keys in launch order.
        mock_rows, reference_rows: their rows in the Traces.
    """

    mock: tuple[str, ...]
    reference: tuple[str, ...]
    mock_rows: tuple[int, ...]
    reference_rows: tuple[int, ...]

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

    def related_rows(self) -> Iterator[tuple[int, int]]:
        """The same of other kernels of one family that stand in one place."""
        for one, other in self.pairing.related:
            yield self.mock_rows[one], self.reference_rows[other]


def merged_streams(mock_keys: list[str], reference_keys: list[str]) -> StreamPair:
    """All launches in the order in which they began, whatever their streams."""
    mock, reference = tuple(mock_keys), tuple(reference_keys)
    rows = (tuple(range(len(mock))), tuple(range(len(reference))))
    return StreamPair(mock, reference, *rows)


def pair_streams(
    mock: Trace, mock_keys: list[str], reference: Trace, reference_keys: list[str]
) -> list[StreamPair]:
    """Pair the streams of two Traces; see the module's text."""
    ours, theirs = _by_stream(mock, mock_keys), _by_stream(reference, reference_keys)
    pairs = []
    for stream in list(ours):
        twin = next((other for other in theirs if _keys(other) == _keys(stream)), None)
        if twin is not None:
            pairs.append(_pair(stream, twin))
            ours.remove(stream)
            theirs.remove(twin)
    for at in range(max(len(ours), len(theirs))):
        one = ours[at] if at < len(ours) else []
        pairs.append(_pair(one, theirs[at] if at < len(theirs) else []))
    return pairs


_Stream = list[tuple[int, str]]


def _by_stream(trace: Trace, keys: list[str]) -> list[_Stream]:
    streams: dict[int | None, _Stream] = {}
    columns = zip(trace.activities["stream"].to_pylist(), keys, strict=True)
    for row, (stream, key) in enumerate(columns):
        streams.setdefault(stream, []).append((row, key))
    return list(streams.values())


def _keys(stream: _Stream) -> tuple[str, ...]:
    return tuple(key for _, key in stream)


def _pair(mock: _Stream, reference: _Stream) -> StreamPair:
    rows = [tuple(row for row, _ in stream) for stream in (mock, reference)]
    return StreamPair(_keys(mock), _keys(reference), rows[0], rows[1])
