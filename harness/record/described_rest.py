"""What a long container holds beyond the entries that are looked at one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from harness.record.described_tensor import TensorFacts
from harness.record.own_values import field_name, in_order, packed, placed
from harness.record.tensor_values import BYTES, WHOLE

MOST_DIGESTED = 1 << 16
"""Entries beyond the first that are read (0.3 s of numbers on one core); more are counted."""


@dataclass(frozen=True)
class Rest:
    """Entries that are not looked at one by one.

    Attributes:
        count: how many.
        digest: of their names, order, types and values, and of what tensors look like. Without the
            range of floating tensors, which may differ a little, and without the values that are
            each side's own (`harness.record.own_values`). Beyond `MOST_DIGESTED` entries it does
            not reach.
    """

    count: int
    digest: str

    def __str__(self) -> str:
        limit = f" of the first {MOST_DIGESTED:,}" if self.count > MOST_DIGESTED else ""
        return f"{self.count:,} more, digest{limit} {self.digest}"


def rest_of(entries: Iterable[tuple[str, Any]], count: int, name: str) -> Rest:
    """Of ``count`` described entries by name, of which `MOST_DIGESTED` are taken.

    Args:
        entries: read one at a time.
        count: of them all.
        name: of the field that holds them.
    """
    digest = hashlib.blake2b(digest_size=8)
    for key, value in islice(entries, MOST_DIGESTED):
        digest.update(f"{key}={_text(value, field_name((name, key)))};".encode(errors="replace"))
    return Rest(count, digest.hexdigest())


def _text(value: Any, name: str) -> str:
    if isinstance(value, Mapping):
        parts = (f"{key}={_text(value[key], field_name((name, key)))}" for key in sorted(value))
        return f"{{{','.join(parts)}}}"
    if isinstance(value, tuple):
        return f"[{','.join(_text(item, name) for item in value)}]"
    if isinstance(value, TensorFacts):
        return _tensor_text(value, name)
    if isinstance(value, Rest):
        return f"{value.count} {'' if placed(name) else value.digest}"
    return type(value).__name__ if placed(name) else repr(value)


def _tensor_text(facts: TensorFacts, name: str) -> str:
    looks = (facts.layout, facts.shape, facts.stride, facts.dtype, facts.device, facts.alignment)
    own = placed(name) or packed(name, facts.dtype)
    if own or facts.dtype not in (*WHOLE, *BYTES):
        return str(looks)
    return str((*looks, facts.least, facts.most, facts.digest if in_order(name) else ""))
