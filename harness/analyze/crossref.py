"""Kernels of a Trace and of an Nsight Compute report put side by side.

ncu names kernels in its own spelling, so the names are compared by `spelling_key`, together with
grid and block. ncu replays a launch in isolation and usually profiles a few of many, so groups of
equal launches are joined, not single ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.names.spelling import spelling_key
from harness.record.files.ncu.report import NcuReport
from harness.trace import Trace
from harness.trace.columns import column_of
from harness.trace.dims import DIM3_COLUMN

CROSSREF = pa.schema(
    [
        pa.field("name", pa.string()),  # as the Trace has it
        pa.field("ncu_name", pa.string()),
        pa.field("grid", DIM3_COLUMN),
        pa.field("block", DIM3_COLUMN),
        pa.field("launches", pa.int64()),  # in the Trace
        pa.field("total_ns", pa.int64()),
        pa.field("median_ns", pa.float64()),
        pa.field("ncu_kernels", pa.list_(pa.int32())),  # numbers in the report
        pa.field("ncu_median_ns", pa.float64()),  # null: the report has no durations
        pa.field("names_in_trace", pa.int32()),  # above 1: ncu's spelling does not tell them apart
    ]
)
"""Columns of `CrossReference.matched`."""

UNMATCHED = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("grid", DIM3_COLUMN),
        pa.field("block", DIM3_COLUMN),
        pa.field("launches", pa.int64()),
        pa.field("reason", pa.string()),
    ]
)
"""Columns of both tables of what has no counterpart."""

_DURATION = "gpu__time_duration.sum"

_Key = tuple[str, tuple[int, ...], tuple[int, ...]]
_Shape = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class CrossReference:
    """Launches that both have, and those that only one has.

    Attributes:
        matched: one row per name, grid and block; columns `CROSSREF`; longest in the Trace first.
        only_trace, only_ncu: columns `UNMATCHED`.
        share_of_time: part of the Trace's summed kernel time that is matched; None for no kernels.
    """

    matched: pa.Table
    only_trace: pa.Table
    only_ncu: pa.Table
    share_of_time: float | None

    @property
    def in_words(self) -> str:
        """How much has a counterpart, as a sentence."""
        share = "unknown" if self.share_of_time is None else f"{100 * self.share_of_time:.1f} %"
        return (
            f"{_launches(self.matched)} of the Trace, {share} of its kernel time, are of kernels "
            f"in the report; {_launches(self.only_trace)} are only in the Trace, "
            f"{_launches(self.only_ncu)} only in the report"
        )


def _launches(table: pa.Table) -> str:
    count = pc.sum(table["launches"]).as_py() or 0
    return f"{count:,} launch" if count == 1 else f"{count:,} launches"


@dataclass
class _Group:
    """Launches of one key: their names, how many, their numbers in a report, known times in ns."""

    names: dict[str, None]
    launches: int
    numbers: list[int]
    times: list[float]

    @property
    def name(self) -> str:
        return next(iter(self.names))


def crossref(trace: Trace, report: NcuReport) -> CrossReference:
    """Join the kernels of a Trace with those of a report by name, grid and block."""
    traced, profiled = _of_trace(trace), _of_report(report)
    both = [key for key in traced if key in profiled]
    rows = [_matched(key, traced[key], profiled[key]) for key in both]
    rows.sort(key=lambda row: (-row["total_ns"], row["name"]))
    matched = sum(row["total_ns"] for row in rows)
    total = sum(sum(group.times) for group in traced.values())
    return CrossReference(
        _table(rows, CROSSREF),
        _table(_unmatched(traced, profiled, "the report"), UNMATCHED),
        _table(_unmatched(profiled, traced, "the Trace"), UNMATCHED),
        matched / total if total else None,
    )


def _of_trace(trace: Trace) -> dict[_Key, _Group]:
    table = trace.of_kind("kernel").activities
    (names, name), (grids, grid), (blocks, block) = (
        _codes(table[column]) for column in ("name", "grid", "block")
    )
    # Subtracted as integers: a double holds today's ns since 1970 only to 256 ns.
    span = pc.subtract(table["end_ns"], table["start_ns"]).cast(pa.float64()).to_numpy()
    combined = (name * len(grids) + grid) * len(blocks) + block
    found, first, group = np.unique(combined, return_index=True, return_inverse=True)
    rows = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    groups: dict[_Key, _Group] = {}
    for at in np.argsort(first).tolist() if len(found) else ():
        one = int(first[at])
        named = names[name[one]] or ""
        key = (spelling_key(named), grids[grid[one]] or (), blocks[block[one]] or ())
        spans = span[rows[at]]
        added = groups.setdefault(key, _Group({}, 0, [], []))
        added.names[named] = None
        added.launches += len(rows[at])
        added.times.extend(spans[~np.isnan(spans)].tolist())
    return groups


def _codes(column: pa.ChunkedArray) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """The distinct values of a column stored by dictionary, and each row's number in them."""
    number: dict[Any, int] = {None: 0}
    codes = [np.zeros(0, np.int64)]
    for chunk in column.chunks:
        values = [tuple(v) if isinstance(v, list) else v for v in chunk.dictionary.to_pylist()]
        of = [number.setdefault(value, len(number)) for value in values]
        indices = chunk.indices.fill_null(len(of)).to_numpy(zero_copy_only=False)
        codes.append(np.array([*of, 0], np.int64)[indices])
    return list(number), np.concatenate(codes)


def _of_report(report: NcuReport) -> dict[_Key, _Group]:
    groups: dict[_Key, _Group] = {}
    seconds = report.pivot([_DURATION])[_DURATION].to_pylist()
    for row, time in zip(report.kernels.to_pylist(), seconds, strict=True):
        name = row["name"] or ""
        key = (spelling_key(name), tuple(row["grid"] or ()), tuple(row["block"] or ()))
        group = groups.setdefault(key, _Group({}, 0, [], []))
        group.names[name] = None
        group.launches += 1
        group.numbers.append(row["kernel"])
        if time is not None:
            group.times.append(round(time * 1e9, 3))
    return groups


def _matched(key: _Key, traced: _Group, profiled: _Group) -> dict[str, Any]:
    return {
        "name": traced.name,
        "ncu_name": profiled.name,
        "grid": list(key[1]) or None,
        "block": list(key[2]) or None,
        "launches": traced.launches,
        "total_ns": int(sum(traced.times)),
        "median_ns": _median(traced.times),
        "ncu_kernels": profiled.numbers,
        "ncu_median_ns": _median(profiled.times),
        "names_in_trace": len(traced.names),
    }


def _median(times: list[float]) -> float | None:
    return float(np.median(times)) if times else None


def _unmatched(
    one: dict[_Key, _Group], other: dict[_Key, _Group], where: str
) -> list[dict[str, Any]]:
    shapes: dict[str, list[_Shape]] = {}
    for name, grid, block in other:
        shapes.setdefault(name, []).append((grid, block))
    return [
        {
            "name": group.name,
            "grid": list(key[1]) or None,
            "block": list(key[2]) or None,
            "launches": group.launches,
            "reason": _reason(shapes.get(key[0], []), where),
        }
        for key, group in one.items()
        if key not in other
    ]


def _reason(shapes: list[_Shape], where: str) -> str:
    if not shapes:
        return f"{where} has no kernel of this name"
    shown = ", ".join(f"grid {grid} block {block}" for grid, block in shapes[:3])
    more = f" and {len(shapes) - 3} more" if len(shapes) > 3 else ""
    return f"{where} has it only with {shown}{more}"


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = [column_of([row[one.name] for row in rows], one.type) for one in schema]
    return pa.Table.from_arrays(columns, schema=schema)
