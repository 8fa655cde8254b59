"""Figures per group of rows as ``nsys stats`` gives them: sum, count, mean, median, extremes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.analyze.selection import codes_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TENTH = Decimal("0.1")


@dataclass(frozen=True)
class Statistics:
    """Figures of the values of each group that occurs, in the order of the groups' numbers.

    Attributes:
        group: number of the group, shape (n,), as are all others.
        total, count, minimum, maximum: whole numbers.
        mean, median: not rounded.
        deviation: the sample standard deviation, 0 for one value.
    """

    group: Ints
    total: Ints
    count: Ints
    mean: Floats
    median: Floats
    minimum: Ints
    maximum: Ints
    deviation: Floats


def statistics(group: npt.NDArray[Any], values: Ints) -> Statistics:
    """Figures of ``values`` by ``group``; both of shape (n,), group numbers from 0."""
    group, values = _sorted(group, values)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(first, append=len(group))
    total = _sums(values, first)
    mean = total / count
    middle = values[first + (count - 1) // 2] + values[first + count // 2]
    deviation = values - np.repeat(mean, count)
    deviation *= deviation
    variance = _sums(deviation, first) / np.maximum(count - 1, 1)
    return Statistics(
        group[first], total, count, mean, middle / 2,
        values[first], values[first + count - 1], np.sqrt(variance),
    )  # fmt: skip


def _sorted(group: npt.NDArray[Any], values: Ints) -> tuple[Ints, Ints]:
    """Both by group, then by value."""
    group = group.astype(np.int64)
    if not len(group):
        return group, values
    low, high = int(values.min()), int(values.max())
    bits = (high - low).bit_length()
    if bits + int(group.max()).bit_length() > 62:
        order = np.lexsort((values, group))
        return group[order], values[order]
    # One number for both is several times quicker to sort than two.
    group <<= bits
    group |= values - low
    group.sort()
    return group >> bits, (group & ((1 << bits) - 1)) + low


def _sums(values: Any, first: Ints) -> Any:
    # reduceat wants at least one group
    return np.add.reduceat(values, first) if len(first) else values


def named_groups(
    names: pa.ChunkedArray, rename: Callable[[str], str]
) -> tuple[list[str], npt.NDArray[Any]]:
    """The different names as shown, and for each row the number of its name."""
    codes, texts = codes_of(names)
    number: dict[str, int] = {}
    shown = [number.setdefault(rename(text), len(number)) for text in texts]
    if shown == list(range(len(texts))):
        return list(number), codes
    return list(number), np.array(shown, np.int64)[codes]


def column(values: npt.NDArray[Any]) -> pa.Array:
    """Figures as NVIDIA prints them: whole numbers as they are, others to one decimal."""
    if values.dtype.kind == "i":
        return pa.array(values, pa.int64())
    return pa.array([rounded(value) for value in values.tolist()], pa.float64())


def rounded(value: float) -> float:
    """To one decimal, halves away from zero as in SQL; round() would go to the even digit."""
    return float(Decimal(value).quantize(_TENTH, ROUND_HALF_UP))
