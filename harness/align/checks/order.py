"""Is the sequence on each stream the same?"""

from __future__ import annotations

from harness.align.checks.common import failed, passed, shown
from harness.align.model import CheckResult
from harness.align.observation import Observation
from harness.align.streams import StreamPair


def order(observed: Observation) -> CheckResult:
    """The same sequence per stream; what the mock leaves out, adds or replaces when not."""
    pairs = observed.streams
    if all(pair.mock == pair.reference for pair in pairs):
        streams = "stream" if len(pairs) == 1 else "streams"
        return passed("order", f"the same sequence on {len(pairs)} {streams}")
    lines = [line for number, pair in enumerate(pairs) for line in _lines(pair, number, len(pairs))]
    return failed("order", "the sequences differ", lines)


def _lines(pair: StreamPair, number: int, streams: int) -> list[str]:
    where = "" if streams == 1 else f"stream {number}, "
    lines = []
    for position, gone, new in pair.edits():
        if not new:
            text = f"the mock leaves out {shown(gone)}"
        elif not gone:
            text = f"the mock adds {shown(new)}"
        else:
            text = f"the mock has {shown(new)} for {shown(gone)}"
        lines.append(f"{where}at {position}: {text}")
    return lines
