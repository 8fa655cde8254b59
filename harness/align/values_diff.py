"""What two tensors, or two numbers, of a call differ in.

Of tensors the shape, stride, dtype, device, layout and alignment have to agree, and of whole
numbers the range and the order. The range of floating tensors may differ by `FLOAT_TOLERANCE`:
caches hold what kernels computed, and some of these differ from themselves.
"""

from __future__ import annotations

import math
from typing import Any

from harness.record.described import TensorFacts
from harness.record.own_values import in_order, packed, placed

FLOAT_TOLERANCE = 0.05
"""Of the largest finite magnitude among both ranges of a floating tensor."""

ATTRIBUTES = ("layout", "shape", "stride", "dtype", "device", "alignment")
"""Of a tensor; in the order in which they are shown."""

VALUES, ORDER = "values", "order of values"


def tensor_difference(
    mock: TensorFacts, reference: TensorFacts, name: str
) -> tuple[str, str, str] | None:
    """What differs (``shape, dtype``), and how it is on each side.

    Args:
        mock, reference: the tensors.
        name: of the field; some values are each side's own (`harness.record.own_values`).

    Returns:
        None where they differ in nothing, or only in what may differ.
    """
    names = [each for each in ATTRIBUTES if getattr(mock, each) != getattr(reference, each)]
    if "shape" in names and mock.contiguous and reference.contiguous and "stride" in names:
        names.remove("stride")  # follows from the shape
    if not placed(name) and not packed(name, mock.dtype):
        if not _same_range(mock, reference):
            names.append(VALUES)
        elif in_order(name) and _other_order(mock, reference):
            names.append(ORDER)
    if not names:
        return None
    one, other = (", ".join(_shown(facts, each) for each in names) for facts in (mock, reference))
    return ", ".join(names), one, other


def same_number(one: Any, other: Any) -> bool:
    """Equal, or no number (nan) on both sides."""
    return bool(one == other or (one != one and other != other))


def _same_range(mock: TensorFacts, reference: TensorFacts) -> bool:
    pairs = [(mock.least, reference.least), (mock.most, reference.most)]
    if all(same_number(*pair) for pair in pairs):
        return True
    if "float" not in mock.dtype:
        return False
    return all(_near(one, other, _scale(mock, reference)) for one, other in pairs)


def _other_order(mock: TensorFacts, reference: TensorFacts) -> bool:
    """Digests of other shapes, and of an array and a tensor, cannot be held against each other."""
    comparable = (mock.shape, mock.layout) == (reference.shape, reference.layout)
    both = bool(mock.digest and reference.digest)
    return comparable and both and mock.digest != reference.digest


def _scale(*sides: TensorFacts) -> float:
    values = [
        abs(value) for side in sides for value in (side.least, side.most) if value is not None
    ]
    return max((value for value in values if math.isfinite(value)), default=0.0)


def _near(one: float | None, other: float | None, scale: float) -> bool:
    if one is None or other is None or same_number(one, other):
        return one is other or same_number(one, other)
    return abs(one - other) <= FLOAT_TOLERANCE * scale  # infinite or nan: not near


def _shown(facts: TensorFacts, name: str) -> str:
    if name == ORDER:
        return f"{_shown(facts, VALUES)} (digest {facts.digest})"
    if name == VALUES:
        return "unknown" if facts.least is None else f"{facts.least} to {facts.most}"
    value = getattr(facts, name)
    return str(list(value) if isinstance(value, tuple) else value)
