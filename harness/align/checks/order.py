"""Is the sequence on each stream the same?"""

from __future__ import annotations

from collections.abc import Iterator

from harness.align.changes import changes, region_names
from harness.align.checks.common import failed, passed
from harness.align.model import CheckResult
from harness.align.observation import Observation


def order(observed: Observation) -> CheckResult:
    """The same sequence per stream; what the mock leaves out, adds or replaces when not."""
    pairs = observed.streams
    if all(pair.mock == pair.reference for pair in pairs):
        streams = "stream" if len(pairs) == 1 else "streams"
        return passed("order", f"the same sequence on {len(pairs)} {streams}")
    if len(pairs) > 1 and observed.merged.mock == observed.merged.reference:
        text = "the same merged order, spread over streams in another way"
        return failed("order", text, _lines(observed))
    return failed("order", "the sequences differ", _lines(observed))


def _lines(observed: Observation) -> Iterator[str]:
    if len(observed.streams) == 1 and observed.matching is observed.streams:
        yield from (change.line() for change in observed.changes)
        return
    mock, reference = (region_names(trace) for trace in observed.lists)
    for number, pair in enumerate(observed.streams):
        where = "" if len(observed.streams) == 1 else f"stream {number}, "
        ours = [mock[row] for row in pair.mock_rows]
        theirs = [reference[row] for row in pair.reference_rows]
        for change in changes(pair.pairing, ours, theirs):
            yield where + change.line()
