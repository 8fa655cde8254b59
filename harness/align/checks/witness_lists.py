"""One list of launches as two profilers saw it in two processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.align.checks.common import counted
from harness.align.durations import Floats, spans_ns
from harness.align.streams import StreamPair, pair_streams
from harness.names import display_name, identity_keys
from harness.names.spelling import spelling_key
from harness.trace import Trace


@dataclass
class ListPair:
    """What two profilers say of one list.

    Attributes:
        problems: differences in names, counts, order, graph nodes and number of forwards, one line
            each.
        differences: |second / first - 1| of the duration of each kernel that is long enough.
        data: forwards, launches and graph nodes of both, for the evidence.
    """

    problems: list[str] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


def compare_lists(live: Sequence[Trace], seen: Sequence[Trace], shortest_ns: int) -> ListPair:
    """Compare the last forward of each; durations are medians over forwards that launch the same.

    Args:
        live: forwards that were recorded live.
        seen: those of the second profiler; one of the two may have none.
        shortest_ns: kernels that take less live have no duration that is compared.
    """
    found = ListPair(data={"live": _launches(live), "nsys": _launches(seen)})
    found.data["forwards"] = {"live": len(live), "nsys": len(seen)}
    if len(live) != len(seen):
        found.problems.append(_other_forwards(len(live), len(seen)))
    if not live or not seen:
        return found
    ours, theirs = _keys(live[-1], seen[-1])
    pairs = pair_streams(live[-1], ours, seen[-1], theirs)
    found.problems += list(_other_counts(ours, theirs)) or _other_order(pairs)
    found.problems += _other_nodes(live[-1], seen[-1], found.data)
    rows = [matched for pair in pairs for matched in pair.matched_rows()]
    found.differences += _differences(live, seen, rows, shortest_ns)
    return found


def _launches(forwards: Sequence[Trace]) -> int:
    return len(forwards[-1]) if forwards else 0


def _other_forwards(live: int, seen: int) -> str:
    if not seen:
        return f"only live: nsys has none of the {live} forwards"
    if not live:
        return f"only nsys: none of its {seen} forwards was recorded live"
    return f"{live} forwards live, {seen} under nsys"


def _keys(live: Trace, seen: Trace) -> tuple[list[str], list[str]]:
    """Identity of each launch; by spelling where only one profiler gives mangled names."""
    ours, theirs = identity_keys(live), identity_keys(seen)
    if _mangled(ours) != _mangled(theirs):
        return [spelling_key(key) for key in ours], [spelling_key(key) for key in theirs]
    return ours, theirs


def _mangled(keys: list[str]) -> bool:
    return any(key.startswith("_Z") for key in keys)


def _other_counts(ours: list[str], theirs: list[str]) -> Iterator[str]:
    live, seen = Counter(ours), Counter(theirs)
    for name, more in (("only live", live - seen), ("only nsys", seen - live)):
        for line in counted(more):
            yield f"{name}: {line}"


def _other_order(pairs: list[StreamPair]) -> Iterator[str]:
    # The live list stands in the mock's place of a pair, nsys's in the reference's.
    for pair in pairs:
        for at, theirs, ours in pair.edits():
            yield f"another order at {at}: live {_first(ours)}, nsys {_first(theirs)}"


def _first(keys: tuple[str, ...]) -> str:
    if not keys:
        return "nothing"
    return display_name(keys[0]) + (f" and {len(keys) - 1} more" if keys[1:] else "")


def _other_nodes(live: Trace, seen: Trace, data: dict[str, Any]) -> Iterator[str]:
    """How many launches are graph nodes, and of how many different ones."""
    ours, theirs = (_nodes(trace) for trace in (live, seen))
    data["graph_nodes"] = {"live": ours[1], "nsys": theirs[1]}
    if ours != theirs:
        yield (
            f"{ours[0]} launches of {ours[1]} graph nodes live, "
            f"{theirs[0]} of {theirs[1]} under nsys"
        )


def _nodes(trace: Trace) -> tuple[int, int]:
    nodes = [node for node in trace.activities["graph_node"].to_pylist() if node is not None]
    return len(nodes), len(set(nodes))


def _differences(
    live: Sequence[Trace], seen: Sequence[Trace], rows: list[tuple[int, int]], shortest_ns: int
) -> list[float]:
    ours, theirs = _medians(live), _medians(seen)
    kinds = live[-1].activities["kind"].to_pylist()
    return [
        abs(float(theirs[other] / ours[one]) - 1)
        for one, other in rows
        if kinds[one] == "kernel" and ours[one] >= max(shortest_ns, 1) and theirs[other] >= 0
    ]


def _medians(forwards: Sequence[Trace]) -> Floats:
    """Duration in ns of each launch of the last forward; NaN, which no comparison lets through,
    where it is not known."""
    wanted = identity_keys(forwards[-1])
    alike = [spans_ns(one) for one in forwards if identity_keys(one) == wanted]
    medians: Floats = np.median(np.stack(alike), axis=0)
    return medians
