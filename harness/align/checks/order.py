"""Is the sequence on each stream the same?"""

from __future__ import annotations

from difflib import SequenceMatcher

from harness.align.checks.common import failed, passed
from harness.align.model import CheckResult
from harness.align.observation import Observation
from harness.names import display_name
from harness.trace import Trace


def order(observed: Observation) -> CheckResult:
    """The same sequence per stream; an edit script when not.

    Stream ids differ between any two runs, so streams are paired in the order in which they
    first launch something.
    """
    mock, reference = (
        _by_stream(trace, keys) for trace, keys in zip(observed.lists, observed.keys, strict=True)
    )
    if mock == reference:
        streams = "stream" if len(mock) == 1 else "streams"
        return passed("order", f"the same sequence on {len(mock)} {streams}")
    lines = []
    if len(mock) != len(reference):
        lines.append(f"{len(mock)} streams in the mock, {len(reference)} in the reference")
    for number, (one, other) in enumerate(zip(mock, reference, strict=False)):
        lines += _edits(one, other, number if len(reference) > 1 else None)
    return failed("order", "the sequences differ", lines)


def _by_stream(trace: Trace, keys: list[str]) -> list[list[str]]:
    streams: dict[int | None, list[str]] = {}
    for stream, key in zip(trace.activities["stream"].to_pylist(), keys, strict=True):
        streams.setdefault(stream, []).append(key)
    return list(streams.values())


def _edits(mock: list[str], reference: list[str], stream: int | None) -> list[str]:
    """What turns the reference's sequence into the mock's, one line per edit."""
    where = "" if stream is None else f"stream {stream}, "
    lines = []
    for tag, i, j, k, m in matching(mock, reference).get_opcodes():
        if tag == "equal":
            continue
        gone, new = reference[i:j], mock[k:m]
        text = {
            "delete": f"the mock leaves out {_shown(gone)}",
            "insert": f"the mock adds {_shown(new)}",
            "replace": f"the mock has {_shown(new)} for {_shown(gone)}",
        }[tag]
        lines.append(f"{where}at {i}: {text}")
    return lines


def matching(mock: list[str], reference: list[str]) -> SequenceMatcher[str]:
    """A matcher whose first sequence is the reference's and whose second is the mock's."""
    return SequenceMatcher(None, reference, mock, autojunk=False)


def _shown(keys: list[str]) -> str:
    names = [display_name(key) for key in keys[:3]]
    return ", ".join(names) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
