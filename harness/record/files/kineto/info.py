"""What a trace of torch.profiler says about itself, as TraceInfo."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.record.files.kineto.collect import Collected
from harness.record.files.kineto.columns import NONE
from harness.record.files.kineto.document import Document
from harness.record.files.kineto.tables import Tables
from harness.record.kineto import NOTES
from harness.trace import TraceInfo

_VERSIONS = ("cupti_version", "cuda_runtime_version", "cuda_driver_version", "hip_runtime_version")
_LABELS_SHOWN = 16


def info_of(document: Document, found: Collected, tables: Tables, file: str) -> TraceInfo:
    """Facts about one file, whose name is ``file``."""
    header = document.header
    return TraceInfo(
        source="kineto",
        chosen_because=f"read from {file}",
        created=_ended(tables.activities),
        versions={
            key.removesuffix("_version"): str(header[key]) for key in _VERSIONS if key in header
        },
        gpu=_gpu(header, tables.activities),
        unattributed=tables.unattributed,
        incomplete=tuple(_incomplete(found, tables)),
        notes=(
            *_about_rank(header),
            *_about_values(document, found),
            *_about_labels(found, tables),
        ),
    )


def rank_of(header: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Rank and world size of torch.distributed; None where the file does not say."""
    about = header.get("distributedInfo")
    about = about if isinstance(about, dict) else {}
    rank, world = about.get("rank"), about.get("world_size")
    return rank if type(rank) is int else None, world if type(world) is int else None


def _ended(activities: pa.Table) -> str:
    last = pc.max(activities["end_ns"]).as_py()
    try:
        ended = datetime.datetime.fromtimestamp((last or 0) / 1e9, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    # Without a base time the clock may be another one than that of the epoch.
    return ended.isoformat(timespec="seconds") if ended.year > 2015 else ""


def _gpu(header: Mapping[str, Any], activities: pa.Table) -> dict[str, Any]:
    """Properties of the device that most activities ran on."""
    listed = header.get("deviceProperties")
    devices = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    ran = pc.mode(activities["device"].drop_null())
    number = ran[0]["mode"].as_py() if len(ran) else 0
    mine = next((one for one in devices if one.get("id") == number), {})
    gpu: dict[str, Any] = {"index": number} if mine else {}
    if mine.get("name"):
        gpu["name"] = str(mine["name"])
    if "computeMajor" in mine and "computeMinor" in mine:
        gpu["capability"] = f"{mine['computeMajor']}.{mine['computeMinor']}"
    for key, source in (("multiprocessors", "numSms"), ("memory_bytes", "totalGlobalMem")):
        if type(mine.get(source)) is int:
            gpu[key] = mine[source]
    if devices:
        gpu["devices"] = len(devices)
    return gpu


def _incomplete(found: Collected, tables: Tables) -> list[str]:
    reasons = []
    if tables.unattributed:
        reasons.append(f"{tables.unattributed} activities have no recorded launch call")
    if tables.ambiguous:
        reasons.append(
            f"of them {tables.ambiguous} have a correlation id that calls of several processes have"
        )
    if tables.endless:
        reasons.append(f"{tables.endless} activities have no sound duration and so no end")
    if found.backwards:
        reasons.append(f"{found.backwards} events have a negative duration, which is left out")
    return reasons


def _about_rank(header: Mapping[str, Any]) -> list[str]:
    rank, world = rank_of(header)
    if rank is None:
        return []
    return [f"rank {rank} of {world} of torch.distributed" if world else f"rank {rank}"]


def _about_values(document: Document, found: Collected) -> list[str]:
    notes = list(NOTES[:1])
    if bool((found.integers["shared_static_bytes"].numbers() == NONE).all()):
        notes.append(NOTES[1])
    if found.fractions:
        notes.append(NOTES[2])
    else:
        notes.append("the file has whole µs, so durations of short kernels are coarse")
    if document.repaired:
        notes.append(
            "the file is not all JSON: nan and inf are read as unknown, control characters kept"
        )
    if found.left_out:
        listed = ", ".join(f"{count} {name}" for name, count in found.left_out.most_common())
        notes.append(f"events that are not kept: {listed}")
    return notes


def _about_labels(found: Collected, tables: Tables) -> list[str]:
    """Names of the processes and threads that made calls, where they say more than the number."""
    notes = []
    for what, labels in (("process", found.processes), ("thread", found.threads)):
        numbers = pc.unique(tables.calls[what].drop_null()).to_pylist()
        for number in sorted(numbers)[:_LABELS_SHOWN]:
            label = labels.get(number, "")
            if label and not label.startswith(f"{what} {number}"):
                notes.append(f"{what} {number} is {label}")
    return notes
