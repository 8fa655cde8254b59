"""Times that a file may hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import TraceFormatError

LATEST_NS = 1 << 61
"""73 years in either direction of zero: beyond any clock, and differences still fit 64 bits."""


def check_times(numbers: npt.NDArray[Any], source: str) -> None:
    """Refuse times that no clock gives.

    Args:
        numbers: ns, any shape.
        source: the file, for the message.

    Raises:
        TraceFormatError: one is further than `LATEST_NS` from zero.
    """
    if not numbers.size:
        return
    for found in (int(np.min(numbers)), int(np.max(numbers))):
        if abs(found) > LATEST_NS:
            raise TraceFormatError(
                f"{source} has a time of {found} ns, which no clock gives",
                fix="export it again; the file is damaged",
            )
