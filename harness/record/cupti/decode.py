"""Raw activity buffers to one NumPy array of records per kind, in bulk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harness.record.cupti.layout import Kind, Layouts

Bytes = npt.NDArray[np.uint8]
Starts = npt.NDArray[np.int64]

WORD = 8
"""Records start at multiples of 8 bytes, and their sizes are multiples of it."""

_LARGEST_COPY_KIND = 10
_KINDS = 256


@dataclass
class Records:
    """What a recording's buffers held.

    Attributes:
        of: records by kind; a kind that did not occur has an empty array.
        skipped: number of records by kind that are valid but not decoded.
        problems: buffers that could not be read; nothing of such a buffer is in ``of``.
        count: records decoded and skipped.
        bytes: size of the buffers that were read.
    """

    of: dict[int, npt.NDArray[np.void]]
    skipped: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    count: int = 0
    bytes: int = 0


class _DamagedError(Exception):
    pass


def decode(buffers: Iterable[Bytes], layouts: Layouts) -> Records:
    """Decode the valid bytes of activity buffers.

    A buffer is decoded as a whole or not at all: after one bad record it cannot be said where
    the next begins, nor whether the one before was right.

    Args:
        buffers: each 8-byte aligned, cut to its valid size.
        layouts: of the libcupti that filled them.
    """
    parts: dict[int, list[npt.NDArray[np.void]]] = {kind: [] for kind in layouts.dtypes}
    records = Records({})
    steps = _steps(layouts.sizes)
    for number, buffer in enumerate(buffers):
        try:
            starts, kinds = _walk(buffer, steps)
            found = _gather(buffer, starts, kinds, layouts)
        except _DamagedError as damage:
            records.problems.append(
                f"activity buffer {number} ({buffer.size} bytes) is unreadable: {damage}"
            )
            continue
        for kind, rows in found.items():
            parts[kind].append(rows)
        records.count += len(starts)
        records.bytes += buffer.size
        records.skipped.update(_skipped(kinds, layouts))
    for kind, dtype in layouts.dtypes.items():
        records.of[kind] = np.concatenate(parts[kind]) if parts[kind] else np.empty(0, dtype)
    return records


def _steps(sizes: Mapping[int, int]) -> list[int]:
    """Words per record by kind; 0 for a kind that is unknown."""
    steps = [0] * _KINDS
    for kind, size in sizes.items():
        if 0 < kind < _KINDS and size > 0 and size % WORD == 0:
            steps[kind] = size // WORD
    return steps


def _walk(buffer: Bytes, steps: list[int]) -> tuple[Starts, npt.NDArray[np.uint8]]:
    """Word offset and kind of every record."""
    if buffer.size % WORD:
        raise _DamagedError("its valid size is not a multiple of 8")
    # The kind is a record's first 4 bytes, so every other u4 is a kind if a record starts there.
    words = buffer.view(np.dtype("<u4"))[::2]
    end = len(words)
    if end == 0:
        return np.empty(0, np.int64), np.empty(0, np.uint8)
    first = int(words[0])
    step = steps[first] if first < _KINDS else 0
    if step and end % step == 0 and bool((words[::step] == first).all()):
        starts = np.arange(0, end, step)
        return starts, np.full(len(starts), first, np.uint8)
    kinds = np.where(words < _KINDS, words, 0).astype(np.uint8)
    starts = np.array(_hop(kinds.tobytes(), steps), np.int64)
    return starts, kinds[starts]


def _hop(kinds: bytes, steps: list[int]) -> list[int]:
    """Follow the records of a mixed buffer.

    Each start depends on the one before, and runs of one kind are only one to three records long
    in eager mode. So this is a loop, with nothing in it but one lookup and one addition (tens of
    ns per record); everything about the records' contents is done in bulk afterwards.
    """
    end = len(kinds)
    jumps = [step or end + 1 for step in steps]
    starts: list[int] = []
    add = starts.append
    at = 0
    while at < end:
        add(at)
        at += jumps[kinds[at]]
    if at != end:
        last = starts[-1]
        if steps[kinds[last]]:
            raise _DamagedError(f"the record at byte {last * WORD} runs past the end")
        raise _DamagedError(f"no known kind of record at byte {last * WORD}")
    return starts


def _gather(
    buffer: Bytes, starts: Starts, kinds: npt.NDArray[np.uint8], layouts: Layouts
) -> dict[int, npt.NDArray[np.void]]:
    words = buffer.view(np.uint64)
    found = {}
    for kind, dtype in layouts.dtypes.items():
        mine = starts[kinds == kind]
        if len(mine) == 0:
            continue
        length = dtype.itemsize // WORD
        if len(mine) * length == len(words):
            rows = words.view(dtype)
        else:
            windows = np.lib.stride_tricks.sliding_window_view(words, length)
            rows = windows[mine].view(dtype).reshape(-1)
        _check(kind, rows)
        found[kind] = rows
    return found


def _check(kind: int, rows: npt.NDArray[np.void]) -> None:
    """Refuse contents that no CUDA program can cause, the sign of a walk that lost its way."""
    names = rows.dtype.names or ()
    if "end" in names and bool(((rows["end"] < rows["start"]) & (rows["end"] != 0)).any()):
        raise _DamagedError(f"a record of kind {Kind(kind).name} ends before it starts")
    if kind == Kind.KERNEL:
        for axis in ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z"):
            if bool((rows[axis] < 1).any()):
                raise _DamagedError(f"a kernel has {axis} below 1")
    if "copy_kind" in names and bool((rows["copy_kind"] > _LARGEST_COPY_KIND).any()):
        raise _DamagedError("a memcpy has an unknown direction")


def _skipped(kinds: npt.NDArray[np.uint8], layouts: Layouts) -> dict[int, int]:
    counts = np.bincount(kinds, minlength=_KINDS)
    return {
        int(kind): int(counts[kind])
        for kind in np.flatnonzero(counts)
        if kind not in layouts.dtypes
    }
