"""A large torch.profiler trace, made of a real one by repeating its events later and later."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

_IDS = ("correlation", "External id", "Ev Idx")
_ID_STEP = 10_000_000
_GAP_NS = 1_000_000
_INDENT = 2


def replicate(source: Path, target: Path, copies: int) -> int:
    """Write a trace that holds the events of ``source`` so many times, and return its bytes.

    Each copy begins 1 ms after the one before has ended, with ids of its own. Metadata events are
    written once. Numbers are written digit by digit as they came, indented like torch's files.

    Args:
        source: ``.json`` or ``.json.gz`` with events that have µs in three decimals.
        target: plain JSON.
        copies: at least 1.
    """
    document = json.loads(_read(source), parse_float=Decimal)
    events = document.pop("traceEvents")
    timed = [event for event in events if event.get("ph") != "M"]
    step = _length_ns(timed) + _GAP_NS
    with target.open("wb") as file:
        head = msgspec.json.format(msgspec.json.encode(_plain(document)), indent=_INDENT)
        file.write(head[:-2] + b',\n  "traceEvents": [\n')
        labels = [event for event in events if event.get("ph") == "M"]
        file.write(_text(labels, 0, 0))
        for copy in range(copies):
            file.write(b",\n" + _text(timed, copy * step, copy * _ID_STEP))
        file.write(b"\n  ]\n}\n")
    return target.stat().st_size


def _read(source: Path) -> bytes:
    content = source.read_bytes()
    return gzip.decompress(content) if source.suffix == ".gz" else content


def _length_ns(events: list[dict[str, Any]]) -> int:
    starts = [_ns(event["ts"]) for event in events]
    ends = [_ns(event["ts"]) + _ns(event.get("dur", 0)) for event in events]
    return max(ends) - min(starts)


def _ns(microseconds: Any) -> int:
    return int(Decimal(microseconds) * 1000)


def _text(events: list[dict[str, Any]], later_ns: int, ids: int) -> bytes:
    return b",\n".join(
        msgspec.json.format(msgspec.json.encode(_moved(event, later_ns, ids)), indent=_INDENT)
        for event in events
    )


def _moved(event: dict[str, Any], later_ns: int, ids: int) -> dict[str, Any]:
    moved = {key: _plain(value) for key, value in event.items()}
    if "ts" in event:
        moved["ts"] = _microseconds(_ns(event["ts"]) + later_ns)
    if type(event.get("id")) is int:
        moved["id"] += ids
    args = moved.get("args")
    if isinstance(args, dict):
        for key in _IDS:
            if type(args.get(key)) is int:
                args[key] += ids
    return moved


def _microseconds(ns: int) -> msgspec.Raw:
    return msgspec.Raw(f"{ns // 1000}.{ns % 1000:03d}".encode())


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return msgspec.Raw(str(value).encode())
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
