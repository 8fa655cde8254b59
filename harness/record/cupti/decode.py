"""Raw activity buffers to one compact array per field and kind of record, in bulk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record.cupti.fields import BOUNDS, FIELDS, Kind
from harness.record.cupti.layout import Layouts
from harness.record.cupti.walk import KINDS, WORD, DamagedError, walk, word_counts

Bytes = npt.NDArray[np.uint8]
Starts = npt.NDArray[np.int64]
Column = npt.NDArray[Any]


class Rows:
    """The records of one kind: ``rows["start"]`` is an array of shape (n,).

    Args:
        fields: arrays of the same length by field name.
    """

    def __init__(self, fields: Mapping[str, Column]) -> None:
        self._fields = fields
        self._length = len(next(iter(fields.values())))

    def __getitem__(self, name: str) -> Column:
        return self._fields[name]

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __len__(self) -> int:
        return self._length


@dataclass
class Records:
    """What a recording's buffers held.

    Attributes:
        of: records by kind; a kind that did not occur has arrays of length 0.
        skipped: number of records by kind that are valid but not decoded.
        problems: buffers that could not be read; nothing of such a buffer is in ``of``.
        count: records decoded and skipped.
        bytes: size of the buffers that were read.
    """

    of: dict[int, Rows]
    skipped: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    count: int = 0
    bytes: int = 0


WORK_NOT_RECORDED = {3: "kernels run one at a time", 18: "kernels launched by kernels"}
"""CUpti_ActivityKind values that stand for work on the device and are never enabled here."""


def decode(buffers: Iterable[Bytes], layouts: Layouts) -> Records:
    """Decode the valid bytes of activity buffers.

    A buffer is decoded as a whole or not at all: after one bad record it cannot be said where
    the next begins, nor whether the one before was right.

    Args:
        buffers: each 8-byte aligned, cut to its valid size.
        layouts: of the libcupti that filled them.
    """
    parts: dict[int, list[Rows]] = {kind: [] for kind in layouts.dtypes}
    records = Records({})
    steps = word_counts(layouts.sizes)
    for number, buffer in enumerate(buffers):
        try:
            starts, kinds = walk(buffer, steps)
            found = _gather(buffer, starts, kinds, layouts)
        except DamagedError as damage:
            records.problems.append(
                f"activity buffer {number} ({buffer.size} bytes) is unreadable: {damage}"
            )
            continue
        for kind, rows in found.items():
            parts[kind].append(rows)
        records.count += len(starts)
        records.bytes += buffer.size
        if sum(map(len, found.values())) < len(starts):
            skipped = _skipped(kinds, layouts)
            records.skipped.update(skipped)
            records.problems += [
                f"activity buffer {number} has {skipped[kind]} records of kind {kind}, {what}, "
                "which are not decoded"
                for kind, what in WORK_NOT_RECORDED.items()
                if kind in skipped
            ]
    for kind, dtype in layouts.dtypes.items():
        records.of[kind] = _joined(parts[kind], kind, dtype)
    return records


def _joined(parts: list[Rows], kind: int, dtype: np.dtype[np.void]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        empty = np.empty(0, dtype)
        return Rows({name: empty[name] for name in FIELDS[kind]})
    return Rows({name: np.concatenate([part[name] for part in parts]) for name in FIELDS[kind]})


def _gather(
    buffer: Bytes, starts: Starts, kinds: npt.NDArray[np.uint8], layouts: Layouts
) -> dict[int, Rows]:
    found = {}
    present = set(np.flatnonzero(np.bincount(kinds, minlength=KINDS)).tolist())
    for kind, dtype in layouts.dtypes.items():
        if kind not in present:
            continue
        if len(present) == 1:
            whole = buffer.view(dtype)
            rows = Rows({name: whole[name].copy() for name in FIELDS[kind]})
        else:
            rows = _picked(buffer, starts[kinds == kind], kind, dtype)
        _check(kind, rows)
        found[kind] = rows
    return found


def _picked(buffer: Bytes, starts: Starts, kind: int, dtype: np.dtype[np.void]) -> Rows:
    """The fields of the records at these words; only what is asked for is copied."""
    columns = {}
    layout: Mapping[str, Any] = dtype.fields or {}
    for name in FIELDS[kind]:
        of, offset = layout[name][:2]
        if of.itemsize not in (1, 2, 4, 8):
            places = starts[:, None] * WORD + (offset + np.arange(of.itemsize))
            columns[name] = buffer[places].view(of).reshape(-1)
            continue
        scale = WORD // of.itemsize
        columns[name] = buffer.view(of)[starts * scale + offset // of.itemsize]
    return Rows(columns)


def _check(kind: int, rows: Rows) -> None:
    """Refuse contents that no CUDA program can cause, the sign of a walk that lost its way."""
    if "end" in FIELDS[kind] and bool((rows["end"] < rows["start"]).any()):
        backwards = (rows["end"] < rows["start"]) & (rows["end"] != 0)
        if bool(backwards.any()):
            raise DamagedError(f"a record of kind {Kind(kind).name} ends before it starts")
    for name, (least, most) in BOUNDS.get(kind, {}).items():
        low, high = int(rows[name].min()), int(rows[name].max())
        if low < least or high > most:
            raise DamagedError(
                f"a record of kind {Kind(kind).name} has {name} {low if low < least else high}"
            )


def _skipped(kinds: npt.NDArray[np.uint8], layouts: Layouts) -> dict[int, int]:
    counts = np.bincount(kinds, minlength=KINDS)
    return {
        int(kind): int(counts[kind])
        for kind in np.flatnonzero(counts)
        if kind not in layouts.dtypes
    }
