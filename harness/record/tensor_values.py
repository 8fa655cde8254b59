"""What is told of the values in a tensor or an array: their range, and a digest of their order.

A tensor is reduced on its own device, and one read of the device fetches all that is told of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

MOST_ORDERED = 1 << 20
"""Elements of whole numbers up to which order is looked at. The digest takes a few int64 tensors of
that size (8 MiB each) for a moment; positions, lengths and offsets of a step are far smaller."""

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""Floating dtypes that torch reduces; of one byte and less it reduces none."""

WHOLE = ("bool", "int16", "int32", "int64", "uint16", "uint32", "uint64")
"""Dtypes whose order is looked at."""

BYTES = ("int8", "uint8")
"""Whole numbers of which the range alone is looked at: what is quantised is computed, and may
differ from itself in a few places."""

MIX = (0x9E3779B97F4A7C15 - (1 << 64), 0xBF58476D1CE4E5B9 - (1 << 64))
"""Odd factors of splitmix64 (Steele, Lea, Flood, OOPSLA 2014), as int64."""


@dataclass(frozen=True)
class Values:
    """What is known of values.

    Attributes:
        least, most: smallest and largest (nan where there is one); None where they are not known.
            uint64 from 2**63 on is taken as int64.
        digest: of whole numbers in their order; empty where it was not made.
        unread: why something is not known of values that are there; empty otherwise.
    """

    least: float | int | None = None
    most: float | int | None = None
    digest: str = ""
    unread: str = ""


def of_tensor(tensor: torch.Tensor, dtype: str) -> Values:
    """Of a strided tensor.

    Args:
        tensor: not copied; the digest works on temporary tensors of at most `MOST_ORDERED` int64.
        dtype: its dtype without ``torch.``.
    """
    import torch

    if tensor.is_meta or not tensor.numel():
        return Values()
    ordered = dtype in WHOLE and tensor.numel() <= MOST_ORDERED
    with torch.no_grad():
        if ordered:
            wide = tensor.to(torch.int64).flatten()
            least, most, order = torch.stack([*torch.aminmax(wide), _order(wide)]).tolist()
            return Values(least, most, f"{order % (1 << 64):016x}")
        unread = f"order of more than {MOST_ORDERED:,} elements" if dtype in WHOLE else ""
        ends = _ends(tensor, dtype)
        if ends is not None:
            least, most = torch.stack(ends).tolist()
            return Values(least, most, unread=unread)
    return Values(unread=f"values of {dtype}" + (f", {unread}" if unread else ""))


def _ends(tensor: torch.Tensor, dtype: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Smallest and largest value on the tensor's device; None where torch has no such reduction."""
    import torch

    if dtype == "bool":
        return tensor.all().int(), tensor.any().int()
    if dtype in (*FLOATS, *BYTES) or (dtype in WHOLE and not dtype.startswith("uint")):
        least, most = torch.aminmax(tensor)
        return least, most
    return None


def _order(wide: torch.Tensor) -> torch.Tensor:
    """Sum of value times a number drawn from its position, modulo 2**64: a scalar, on its device.

    The factors are not linear in the position, so that exchanges in opposite directions do not
    cancel, and odd, so that one value that changes always shows.
    """
    import torch

    position = torch.arange(wide.numel(), dtype=torch.int64, device=wide.device) * MIX[0]
    factor = ((position ^ (position >> 29)) * MIX[1]) | 1
    return (wide * factor).sum()


def of_array(array: np.ndarray[Any, Any]) -> Values:
    """Of a numpy array: a range of numbers, and a digest also of texts and times."""
    kind = array.dtype.kind
    if not array.size:
        return Values()
    digest, unread = "", ""
    if kind in "iubUSmM" and array.dtype.name not in BYTES:
        if array.size <= MOST_ORDERED:
            digest = hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest()
        else:
            unread = f"order of more than {MOST_ORDERED:,} elements"
    if kind not in "iubf":
        return Values(
            digest=digest, unread=unread or ("" if digest else f"values of {array.dtype}")
        )
    with np.errstate(all="ignore"):
        least, most = array.min().item(), array.max().item()
    return Values(least + 0, most + 0, digest, unread)
