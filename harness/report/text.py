"""Words and figures that every report writes in the same way."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.align.model import KernelRow
from harness.names import display_name

UNKNOWN = "-"
"""Stands where a recorder gives no figure."""

_CASE_PHRASES = (
    ("tp", "tp {}"),
    ("batch_size", "batch {}"),
    ("seq_len", "{} new tokens per request"),
    ("kv_len", "KV length {}"),
    ("dtype", "{}"),
    ("framework", "{}"),
)
_CASE_SHORT = (
    ("tp", "tp{}"),
    ("batch_size", "b{}"),
    ("seq_len", "s{}"),
    ("kv_len", "kv{}"),
    ("dtype", "{}"),
    ("framework", "{}"),
)


def plain(text: str) -> str:
    """One line without control characters, which names from a trace may hold."""
    return "".join(char if char.isprintable() else " " for char in text)


def case_line(case: Mapping[str, Any]) -> str:
    """A case in words: ``dsa context, tp 8, batch 1, ...``; fields not set are left out."""
    return _case(case, _CASE_PHRASES, ", ")


def case_short(case: Mapping[str, Any]) -> str:
    """A case as a few words: ``dsa context tp8 b1 s4096 kv4096 bfloat16``."""
    return _case(case, _CASE_SHORT, " ")


def _case(case: Mapping[str, Any], phrases: Sequence[tuple[str, str]], joint: str) -> str:
    what = " ".join(str(case[name]) for name in ("op", "phase") if case.get(name))
    known = {"op", "phase", *(name for name, _ in phrases)}
    parts = [what, *(form.format(case[name]) for name, form in phrases if case.get(name))]
    parts += [f"{name} {value}" for name, value in case.items() if name not in known]
    text = joint.join(part for part in parts if part)
    return plain(text.replace(" 1 new tokens", " 1 new token"))


def microseconds(value: float | None) -> str:
    """A duration in microseconds to four digits or so; `UNKNOWN` for None."""
    if value is None:
        return UNKNOWN
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"


def recorder_line(name: str, reason: str) -> str:
    """Which recorder ran and why."""
    return f"recorder: {name or 'none'}" + (f" ({reason})" if reason else "")


def has_times(rows: Sequence[KernelRow]) -> bool:
    """Whether the recorder gave a time for any row."""
    return any(row.mock_us is not None or row.reference_us is not None for row in rows)


def labels(rows: Sequence[KernelRow], width: int | None = None) -> list[str]:
    """A name for each row, of at most ``width`` characters; no two rows get the same.

    Names that become equal by shortening get the start of a hash of the raw name.
    """
    shown = [plain(display_name(row.name, row.kind, width)) for row in rows]
    repeated = {label for label, count in Counter(shown).items() if count > 1}
    return [
        _marked(row, width) if label in repeated else label
        for row, label in zip(rows, shown, strict=True)
    ]


def _marked(row: KernelRow, width: int | None) -> str:
    digest = hashlib.sha256(row.name.encode(errors="replace")).hexdigest()[:6]
    left = None if width is None else max(width - 8, 1)
    name = plain(display_name(row.name, row.kind, left))
    return f"{name} ~{digest}"
