"""Units of Nsight Compute's metrics in base units (``ncu --print-units auto`` scales them)."""

from __future__ import annotations

import re

_PREFIX = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
"""Prefixes are powers of 1000, also of bytes (Nsight Compute CLI, ``--print-units``)."""

_SECONDS = re.compile(r"([num]?)s(?:econd)?$")
_HERTZ = re.compile(r"([KMGT]?)hz$", re.IGNORECASE)
_COUNTED = re.compile(r"([KMGTP]?)([a-z][\w%]*)$")


def in_base_units(value: float | None, unit: str) -> tuple[float | None, str]:
    """A value in bytes, seconds, hertz or counts, and that unit.

    Args:
        value: as printed; None stays None.
        unit: as printed, such as ``Gbyte/second``, ``usecond``, ``Ghz``, ``byte/s``, ``%``.

    Returns:
        The value and its base unit: ``s``, ``hz``, ``byte/s``; an unknown unit as it is.
    """
    above, _, below = unit.partition("/")
    factor, base = _scale(above)
    if below:
        divisor, base_below = _scale(below)
        factor, base = factor / divisor, f"{base}/{base_below}"
    return (None if value is None else value * factor), base


def _scale(unit: str) -> tuple[float, str]:
    for pattern, base in ((_SECONDS, "s"), (_HERTZ, "hz")):
        if found := pattern.match(unit):
            return _PREFIX.get(found[1].upper() if base == "hz" else found[1], 1.0), base
    if found := _COUNTED.match(unit):
        return _PREFIX.get(found[1], 1.0), found[2]
    return 1.0, unit
