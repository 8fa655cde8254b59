"""What a CUPTI Trace says about itself: completeness, versions, device, cost."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.record.cupti import binding, library
from harness.record.cupti.decode import Records
from harness.record.cupti.session import Session, pool
from harness.record.cupti.structs import package_version
from harness.record.cupti.tables import Tables
from harness.record.environment import now, torch_versions
from harness.trace import TraceInfo

_CLOCK_TOLERANCE_NS = 1_000_000_000
_WINDOW_TOLERANCE_NS = 1_000_000


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
    import torch

    now_ns = cupti.timestamp()
    return TraceInfo(
        source="cupti",
        created=now(),
        versions=_versions(cupti),
        gpu=_gpu(torch.cuda.current_device()),
        dropped_records=session.dropped,
        unattributed=tables.unattributed + tables.bodies,
        perturbation={
            "records": float(records.count),
            "buffers": float(len(session.filled)),
            "buffers_grown": float(pool().grown),
            "buffers_at_most": float(pool().limit),
            "bytes": float(records.bytes),
            "decode_us_per_record": decode_us / max(records.count, 1),
            "replays": float(tables.replays.count),
            **session.costs,
        },
        incomplete=(
            *incomplete_reasons(
                dropped=session.dropped,
                missing_marks=len(set(session.marks) - tables.marks_seen),
                tables=tables,
                problems=(*session.problems, *records.problems),
                mapped=library.mapped_now(),
            ),
            *clock_reasons(tables, session.began_ns, now_ns, time.time_ns()),
        ),
        notes=(*session.notes, *_skipped_note(records), *tables.replays.notes),
    )


def incomplete_reasons(
    *,
    dropped: int,
    missing_marks: int,
    tables: Tables,
    problems: tuple[str, ...],
    mapped: Sequence[str],
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
    if tables.stray:
        reasons.append(f"{tables.stray} region ids belong to no recorded call")
    kernels, graphs = tables.silent
    if kernels:
        reasons.append(f"{kernels} kernel launches left no activity")
    if graphs and not tables.bodies:  # which may be all that those graphs have
        reasons.append(f"{graphs} graph launches left no activity")
    if tables.bodies:
        reasons.append(
            f"{tables.bodies} activities of graphs have no launch call: bodies of conditional "
            "nodes or graphs launched by the device, which CUPTI does not attribute"
        )
    if len(mapped) > 1:
        names = ", ".join("/".join(Path(path).parts[-3:]) for path in mapped)
        reasons.append(f"more than one libcupti is mapped: {names}")
    return (*reasons, *tables.replays.problems)


def clock_reasons(tables: Tables, began_ns: int, now_ns: int, system_ns: int) -> tuple[str, ...]:
    """Why the times cannot be right; empty when nothing speaks against them.

    Args:
        tables: with the times of the activities.
        began_ns, now_ns: start of the recording and now, on the clock of the records.
        system_ns: now, on the system's clock.
    """
    reasons = []
    if abs(now_ns - system_ns) > _CLOCK_TOLERANCE_NS:
        reasons.append(
            f"CUPTI's clock reads {now_ns} and the system's {system_ns} ns: times may be raw "
            "ticks, as after torch.profiler, and not ns"
        )
    early = began_ns - tables.first_ns
    late = tables.last_ns - now_ns
    if tables.first_ns and max(early, late) > _WINDOW_TOLERANCE_NS:
        reasons.append(
            f"activities lie up to {max(early, late)} ns outside of the recorded time: clocks of "
            "device and host do not agree"
        )
    return tuple(reasons)


def _skipped_note(records: Records) -> tuple[str, ...]:
    if not records.skipped:
        return ()
    kinds = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(records.skipped.items()))
    return (f"records that somebody else enabled were skipped: {kinds}",)


@functools.cache
def _versions(cupti: binding.Cupti) -> dict[str, str]:
    return {
        **torch_versions(),
        "cupti": str(cupti.version()),
        "cupti-python": package_version(),
        "cuda-driver": library.driver_version(),
    }


@functools.cache
def _gpu(device: int) -> dict[str, Any]:
    import torch

    properties: Any = torch.cuda.get_device_properties(device)
    return {
        "index": device,
        "name": str(properties.name),
        "uuid": str(properties.uuid),
        "capability": f"{properties.major}.{properties.minor}",
    }
