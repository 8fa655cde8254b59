"""``1%`` or ``0.01``."""

from __future__ import annotations

import math

from harness.errors import InputError


def parse_tolerance(text: str) -> float:
    """A tolerance as a fraction.

    Raises:
        InputError: it is not a number, or not between 0 and 100 %.
    """
    stripped = text.strip()
    try:
        value = float(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise InputError(
            f"--tolerance {text!r} is not between 0 and 100 %",
            fix="write it as 1% or as 0.01",
        )
    return value
