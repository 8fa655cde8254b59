"""What a CUPTI Trace says about itself: completeness, versions, device, cost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from harness.record.cupti import binding, library
from harness.record.cupti.columns import Tables
from harness.record.cupti.decode import Records
from harness.record.cupti.session import Session, pool
from harness.record.cupti.structs import package_version
from harness.record.environment import now, torch_versions
from harness.trace import TraceInfo

_CLOCK_TOLERANCE_NS = 1_000_000_000


def summarise(
    session: Session, cupti: binding.Cupti, records: Records, tables: Tables, decode_us: float
) -> TraceInfo:
    """Make the info block of a recording.

    Args:
        session: ended.
        cupti: the library that recorded.
        records: what its buffers held.
        tables: what the records came to.
        decode_us: time that decoding and building the tables took, in µs.
    """
    mapped = library.mapped_libraries()
    return TraceInfo(
        source="cupti",
        created=now(),
        versions=_versions(cupti),
        gpu=_gpu(),
        dropped_records=session.dropped,
        unattributed=tables.unattributed,
        perturbation={
            "records": float(records.count),
            "buffers": float(len(session.filled)),
            "buffers_grown": float(pool().grown),
            "bytes": float(records.bytes),
            "decode_us_per_record": decode_us / max(records.count, 1),
            **session.costs,
        },
        incomplete=incomplete_reasons(
            dropped=session.dropped,
            missing_marks=len(set(session.marks) - tables.marks_seen),
            tables=tables,
            problems=(*session.problems, *records.problems),
            mapped=mapped,
        ),
        notes=(
            *session.notes,
            *_skipped_note(records),
            *clock_note(cupti.timestamp(), time.time_ns()),
        ),
    )


def incomplete_reasons(
    *,
    dropped: int,
    missing_marks: int,
    tables: Tables,
    problems: tuple[str, ...],
    mapped: list[str],
) -> tuple[str, ...]:
    """Why the Trace may lack something; empty when nothing speaks against it.

    Args:
        dropped: records that CUPTI lost.
        missing_marks: of the recorder's own launches, at the start and the end, those not seen.
        tables: what the records came to.
        problems: of recording and decoding.
        mapped: paths of the copies of libcupti in this process.
    """
    reasons = list(problems)
    if dropped:
        reasons.append(f"CUPTI dropped {dropped} records")
    if missing_marks:
        reasons.append(
            f"{missing_marks} of the recorder's own launches at the start and end did not come "
            "back: another profiler took CUPTI's buffers over"
        )
    if tables.untimed:
        reasons.append(f"{tables.untimed} activities have no start or end time")
    if tables.unattributed:
        reasons.append(f"{tables.unattributed} activities have no recorded launch call")
    if len(mapped) > 1:
        names = ", ".join("/".join(Path(path).parts[-3:]) for path in mapped)
        reasons.append(f"more than one libcupti is mapped: {names}")
    return tuple(reasons)


def clock_note(record_clock_ns: int, system_clock_ns: int) -> tuple[str, ...]:
    """Say so when the records are not on the system's clock (raw ticks, after torch.profiler)."""
    if abs(record_clock_ns - system_clock_ns) <= _CLOCK_TOLERANCE_NS:
        return ()
    return (
        f"CUPTI's clock reads {record_clock_ns} and the system's {system_clock_ns} ns: times of "
        "this Trace may be raw ticks, not ns",
    )


def _skipped_note(records: Records) -> tuple[str, ...]:
    if not records.skipped:
        return ()
    kinds = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(records.skipped.items()))
    return (f"records that somebody else enabled were skipped: {kinds}",)


def _versions(cupti: binding.Cupti) -> dict[str, str]:
    return {
        **torch_versions(),
        "cupti": str(cupti.version()),
        "cupti-python": package_version(),
        "cuda-driver": library.driver_version(),
    }


def _gpu() -> dict[str, Any]:
    import torch

    device = torch.cuda.current_device()
    properties: Any = torch.cuda.get_device_properties(device)
    return {
        "index": device,
        "name": str(properties.name),
        "uuid": str(properties.uuid),
        "capability": f"{properties.major}.{properties.minor}",
    }
