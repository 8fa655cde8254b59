"""Times of the Trace Event Format, µs as decimal text, to whole nanoseconds without a float.

``displayTimeUnit`` says how a viewer prints times and never changes their unit (Trace Event
Format, "JSON Object Format").
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from harness.record.files.kineto.scan import MalformedError

_NS = 1000


def nanoseconds(text: bytes) -> int:
    """A number of µs in ns; digits below 1 ns are rounded, halves to even.

    Raises:
        MalformedError: the text is no number.
    """
    whole, point, fraction = text.partition(b".")
    if whole.isdigit() and (not point or (fraction.isdigit() and len(fraction) <= 3)):
        return int(whole) * _NS + (int(fraction.ljust(3, b"0")) if point else 0)
    try:
        number = Decimal(text.strip(b'"').decode())
        return int((number * _NS).quantize(Decimal(1), ROUND_HALF_EVEN))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise MalformedError(f"{text[:40]!r} is no time") from error
