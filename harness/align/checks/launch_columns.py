"""Columns of two lists of launches, held against each other pair by pair.

Whole columns at a time: of a million pairs only those that differ become rows of Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.align.script import Ints
from harness.names import display_name
from harness.names.identity import NAMELESS
from harness.trace.dims import DIM3_COLUMN, dim3_keys
from harness.trace.schema import LAUNCH_CONFIGURATION

FIELDS = {"kernel": LAUNCH_CONFIGURATION, "op": ("inputs", "outputs")}
"""Columns that say how a kernel was launched, and what an ATen call took; copies and fills have
neither."""

UNKNOWN = -1
"""Stands for null; no field has a negative value."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """What pairs of launches show.

    Attributes:
        pairs: how many there are.
        judged: in how many both sides know at least one field.
        operators: whether ATen calls are among them.
        ways: how many pairs differ in each way; a way is a kernel with its differences.
        unknown: by field, in how many of how many kernels or ATen calls a side does not know it;
            fields known in all are left out.
    """

    pairs: int
    judged: int = 0
    operators: bool = False
    ways: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def compared(mock: pa.Table, reference: pa.Table, ours: Ints, theirs: Ints) -> Compared:
    """Compare pairs of rows.

    Args:
        mock, reference: activities of both sides.
        ours, theirs: their rows, pair by pair.
    """
    kinds = reference["kind"].cast(pa.string())
    known = np.zeros(len(ours), np.bool_)
    unknown: dict[str, tuple[int, int]] = {}
    codes: dict[str, tuple[Ints, Ints]] = {}
    for kind, fields in FIELDS.items():
        concerned = pc.equal(kinds, kind).to_numpy()[theirs]
        for name in fields if concerned.any() else ():
            numbers: dict[str, int] = {}
            one, other = _codes(mock[name], numbers)[ours], _codes(reference[name], numbers)[theirs]
            both = concerned & (one != UNKNOWN) & (other != UNKNOWN)
            known |= both
            if left := int((concerned & ~both).sum()):
                unknown[name] = left, int(concerned.sum())
            codes[name] = np.where(both, one, UNKNOWN), np.where(both, other, UNKNOWN)
    ways = _ways(mock, reference, ours, theirs, codes)
    operators = any(name in codes for name in FIELDS["op"])
    return Compared(len(ours), int(known.sum()), operators, ways, unknown)


def _codes(column: pa.ChunkedArray, numbers: dict[str, int]) -> Ints:
    """Each value as a number that is equal where values are; `UNKNOWN` for null.

    Args:
        numbers: of the tensors seen so far, shared by both sides; filled here.
    """
    if column.type.equals(DIM3_COLUMN):
        return _dims(column.combine_chunks())
    if pa.types.is_integer(column.type):
        return np.asarray(pc.fill_null(column, UNKNOWN).to_numpy(), np.int64)
    texts = (None if value is None else str(value) for value in column.to_pylist())
    known = [UNKNOWN if one is None else numbers.setdefault(one, len(numbers)) for one in texts]
    return np.array(known, np.int64)


def _dims(column: pa.DictionaryArray) -> Ints:
    parts = column.dictionary.flatten().to_numpy(zero_copy_only=False).reshape(-1, 3)
    keys: Ints = np.append(dim3_keys(*parts.T), UNKNOWN)
    found: Ints = keys[column.indices.fill_null(len(keys) - 1).to_numpy()]
    return found


def _ways(
    mock: pa.Table, reference: pa.Table, ours: Ints, theirs: Ints,
    codes: Mapping[str, tuple[Ints, Ints]],
) -> dict[str, int]:  # fmt: skip
    """The pairs that differ, equal ones counted, in the order of the first of each."""
    differs: Mask = np.zeros(len(ours), np.bool_)
    for one, other in codes.values():
        differs |= one != other
    at = np.flatnonzero(differs)
    if not len(at):
        return {}
    columns = {"mock": _names(mock, ours[at]), "reference": _names(reference, theirs[at])}
    for name, (one, other) in codes.items():
        apart = one[at] != other[at]  # what is equal makes no way of its own
        columns[f"{name} of the mock"] = pa.array(np.where(apart, one[at], UNKNOWN))
        columns[f"{name} of the reference"] = pa.array(np.where(apart, other[at], UNKNOWN))
    table = pa.table({"at": at, **columns})
    groups = table.group_by(list(columns), use_threads=False).aggregate(
        [("at", "min"), ("at", "count")]
    )
    groups = groups.sort_by("at_min")
    firsts = groups["at_min"].to_numpy()
    fields = ["kind", "name", *codes]
    rows = [
        side.select(fields).take(pa.array(chosen[firsts])).to_pylist()
        for side, chosen in ((mock, ours), (reference, theirs))
    ]
    apart_in = [[name for name in codes if codes[name][0][at] != codes[name][1][at]]
                for at in firsts]  # fmt: skip
    found: dict[str, int] = {}
    for one, other, names, count in zip(
        *rows, apart_in, groups["at_count"].to_pylist(), strict=True
    ):
        line = _line(one, other, names)
        found[line] = found.get(line, 0) + count
    return found


def _names(table: pa.Table, rows: Ints) -> pa.Array:
    names = table["name"].take(pa.array(rows)).combine_chunks()
    return names.indices.fill_null(UNKNOWN)


def _line(mock: dict[str, Any], reference: dict[str, Any], fields: list[str]) -> str:
    one, other = (display_name(row["name"] or NAMELESS, row["kind"]) for row in (mock, reference))
    named = one if one == other else f"{one} for {other}"
    parts = [f"{each} {_shown(mock[each])} against {_shown(reference[each])}" for each in fields]
    return f"{named}: {'; '.join(parts)}"


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(_tensor(tensor) for tensor in value)
    return str(value)


def _tensor(tensor: dict[str, Any]) -> str:
    return f"{tensor['dtype']}{list(tensor['shape'])}"
