"""NVTX ranges as regions, from CUPTI's MARKER records.

A record does not say whether push and pop or start and end made a range, and ranges of two domains
may overlap as those made by start and end may. So one rule holds for all:

- A range belongs to the thread that began and ended it, also while it is open. One that another
  thread ended belongs to no thread: it is a region of the process, without parent, with nothing in
  it, and so it cannot get between the ranges of either thread.
- Its parent is the last range begun before it on its thread that does not end before it does.
- At any time the innermost range of a thread is the one begun last of those that are open. What
  runs where two ranges overlap without one enclosing the other is thus in the later one only.

Ranges that nest are so attributed as they nest, whatever else is open on other threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from harness.record.regions import NVTX_DOMAIN
from harness.trace.schema import OUTSIDE

Row = dict[str, Any]
Array = npt.NDArray[Any]
Ids = npt.NDArray[np.int64]

# CUpti_ActivityFlag and CUpti_ActivityObjectKind of cupti_activity.h
START, END = 1 << 1, 1 << 2
THREAD = 2

_OPEN = np.iinfo(np.int64).max


class Markers(Protocol):
    """MARKER records by field: a structured array, or columns of the same names."""

    def __len__(self) -> int: ...

    def __getitem__(self, name: Any, /) -> Any: ...


def ranges(
    markers: Markers,
    text_of: Callable[[int], str],
    process: int,
    *,
    new_ids: Callable[[], int],
) -> tuple[list[Row], list[str]]:
    """The NVTX ranges of one recording as rows of a regions table, in the order they began.

    Args:
        markers: records in the order in which CUPTI wrote them, with the fields ``flags_``,
            ``timestamp`` (ns), ``id``, ``object_kind``, ``object_id``, ``name`` and ``domain``
            of cupti-python's ``activity_marker2_dtype``.
        text_of: the string at an address; not asked for 0, which stands for the default domain.
        process: id of the recorded process.
        new_ids: gives a region id that is larger than all before.

    Returns:
        The rows, those of the domain ``harness`` left out, since the regions are known; and what
        was odd, one sentence per kind. ``end_ns`` is None where no end was recorded.
    """
    pairs, loose = _paired(markers, text_of)
    rows = [_row(markers, pair, text_of, process, new_ids) for pair in pairs]
    set_parents(rows)
    problems = []
    if loose:
        many = "NVTX range was" if loose == 1 else "NVTX ranges were"
        problems.append(f"{loose} {many} begun before the recording and are no regions")
    return rows, problems


def _paired(markers: Markers, text_of: Callable[[int], str]) -> tuple[list[list[int]], int]:
    """Places of the first and, where there is one, the last record of each range by begin; and
    how many ends have no begin."""
    flags = np.asarray(markers["flags_"])
    order = np.argsort(np.asarray(markers["timestamp"]), kind="stable")
    order = order[(flags[order] & (START | END)) != 0]
    own = _own(markers["domain"], text_of)
    pairs: list[list[int]] = []
    opened: dict[int, list[int]] = {}
    loose = 0
    starts = (flags[order] & START) != 0
    identifiers = np.asarray(markers["id"])[order]
    for place, identifier, start, mine in zip(
        order.tolist(), identifiers.tolist(), starts.tolist(), own[order].tolist(), strict=True
    ):
        if start:
            opened[identifier] = [place]
            if not mine:
                pairs.append(opened[identifier])
        elif identifier in opened:
            opened.pop(identifier).append(place)
        elif not mine:
            loose += 1
    return pairs, loose


def _own(domains: Any, text_of: Callable[[int], str]) -> npt.NDArray[np.bool_]:
    """Which markers are of the harness itself."""
    addresses = np.asarray(domains)
    mine = [at for at in np.unique(addresses).tolist() if at and text_of(at) == NVTX_DOMAIN]
    return np.isin(addresses, mine)


def _row(
    markers: Markers,
    pair: Sequence[int],
    text_of: Callable[[int], str],
    process: int,
    new_ids: Callable[[], int],
) -> Row:
    threads = {_thread(markers, place) for place in pair}
    name, domain = int(markers["name"][pair[0]]), int(markers["domain"][pair[0]])
    return {
        "id": new_ids(),
        "name": text_of(name) if name else "",
        "parent": None,
        "start_ns": int(markers["timestamp"][pair[0]]),
        "end_ns": int(markers["timestamp"][pair[1]]) if len(pair) == 2 else None,
        "process": process,
        "thread": threads.pop() if len(threads) == 1 else None,
        "domain": text_of(domain) if domain else "",
    }


def _thread(markers: Markers, place: int) -> int | None:
    if int(markers["object_kind"][place]) != THREAD:
        return None
    return int(markers["object_id"]["pt"]["thread_id"][place])


def set_parents(rows: Iterable[Row]) -> None:
    """Set ``parent`` of rows that are in the order in which they began."""
    for mine in _by_thread(rows).values():
        open_rows: list[Row] = []
        for row in mine:
            open_rows = [one for one in open_rows if _end(one) >= row["start_ns"]]
            enclosing = (one["id"] for one in reversed(open_rows) if _end(one) >= _end(row))
            row["parent"] = next(enclosing, None)
            open_rows.append(row)


def _by_thread(rows: Iterable[Mapping[str, Any]]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for row in rows:
        if row["thread"] is not None:
            found.setdefault(row["thread"], []).append(row)
    return found


def _end(row: Mapping[str, Any]) -> int:
    end: int | None = row["end_ns"]
    return _OPEN if end is None else end


def region_at(rows: Sequence[Mapping[str, Any]], threads: Array, times: Array) -> Ids:
    """The innermost NVTX range that is open on a thread at a time.

    Args:
        rows: as `ranges` returns them.
        threads: system thread ids, shape (n,).
        times: ns on the clock of the records, shape (n,).

    Returns:
        Region ids, shape (n,); OUTSIDE where no range is open. A range is open from its start
        until just before its end.
    """
    found = np.full(len(threads), OUTSIDE, np.int64)
    for thread, mine in _by_thread(rows).items():
        asked = np.flatnonzero(threads == thread)
        if len(asked):
            bounds, innermost = _timeline(mine)
            at = np.searchsorted(bounds, times[asked].astype(np.int64), side="right")
            found[asked] = innermost[at]
    return found


def _timeline(rows: Sequence[Mapping[str, Any]]) -> tuple[Ids, Ids]:
    """Times at which the innermost range of one thread can change, and which it is between them:
    one more, since nothing is open before the first."""
    starts = [int(row["start_ns"]) for row in rows]
    bounds = np.unique(np.array([*starts, *(_end(row) for row in rows)], np.int64))
    innermost = np.full(len(bounds) + 1, OUTSIDE, np.int64)
    stack: list[Mapping[str, Any]] = []
    following = 0
    for number, time in enumerate(bounds.tolist(), start=1):
        while following < len(rows) and starts[following] <= time:
            stack.append(rows[following])
            following += 1
        # One that has ended under the top is dropped when it comes to lie there itself.
        while stack and _end(stack[-1]) <= time:
            stack.pop()
        innermost[number] = stack[-1]["id"] if stack else OUTSIDE
    return bounds, innermost
