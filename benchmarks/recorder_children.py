"""Children of `benchmarks.recorder`: set up side by side, measured one after the other."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.recorder_process import Child, Job
from benchmarks.recorder_workloads import Sizes

COMMAND = (sys.executable, "-m", "benchmarks.recorder_child")
RUN_S = 150.0
POLL_S = 0.05
TIME_IS_UP = "not run: the time of --seconds is up"


def run(
    jobs: Sequence[Job],
    sizes: Sizes,
    *,
    together: int,
    seconds: float,
    told: Callable[[str], None] = print,
    command: Sequence[str] = COMMAND,
) -> list[dict[str, Any]]:
    """Run all jobs in their order; one that fails is an ``error`` in its line.

    Args:
        jobs: in the order of measuring.
        sizes: of the workloads.
        together: children that exist at a time; all but one of them wait.
        seconds: after so long no more is started or measured.
        told: gets a line per child.
        command: that starts a child.
    """
    deadline = time.monotonic() + seconds
    lines = []
    for first in range(0, len(jobs), together):
        chunk = jobs[first : first + together]
        if time.monotonic() > deadline:
            lines += [_line(job, {"error": TIME_IS_UP}) for job in chunk]
            continue
        lines += _chunk(chunk, sizes, deadline, told, command)
    return lines


def _chunk(
    jobs: Sequence[Job],
    sizes: Sizes,
    deadline: float,
    told: Callable[[str], None],
    command: Sequence[str],
) -> list[dict[str, Any]]:
    children: list[Child] = []
    lines = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            for number, job in enumerate(jobs):
                own = Path(folder) / str(number)
                own.mkdir()
                left = deadline - time.monotonic()
                children.append(Child(job, sizes, own, command, left))
            while any(child.setting_up for child in children):
                time.sleep(POLL_S)
            for child in children:
                left = min(RUN_S, deadline - time.monotonic())
                began = time.monotonic()
                found = child.measured(left) if left > 0 else {"error": TIME_IS_UP}
                lines.append(_line(child.job, found | {"wall_s": time.monotonic() - began}))
                told(_said(lines[-1]))
        finally:
            for child in children:
                child.stop()
    return lines


def _line(job: Job, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "peer": job.peer,
        "workload": job.workload,
        "repetition": job.repetition,
        "limit": job.limit,
    } | found


def _said(line: dict[str, Any]) -> str:
    start = f"{line['repetition']} {line['workload']:13} {line['peer']:18}"
    outcome = line.get("error") or line.get("skipped") or "done"
    return f"{start} {line['wall_s']:5.1f} s  {outcome}"
