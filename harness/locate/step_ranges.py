"""Steps that are ranges: of a recorded forward, of a server's model runner, of a profiler."""

from __future__ import annotations

from typing import Any

from harness.align.forwards import FORWARD
from harness.analyze.steps import steps
from harness.errors import HarnessError
from harness.locate.hits import Hit
from harness.locate.step_lookup import StepTable
from harness.trace import Trace

PROFILER_STEP = "ProfilerStep#*"
"""What torch.profiler puts around an iteration of a loop, which may hold several forward passes."""

STEP_RANGES = (FORWARD, "execute_context_*", "*_forward_step *", PROFILER_STEP)
"""Ranges that are a forward pass: of a recording of this project, of vLLM's model runner, of
TensorRT-LLM's executor, of torch.profiler; looked for in this order."""


def steps_named(trace: Trace, marker: str | None, region: str | None) -> StepTable:
    """The steps that the user named.

    Raises:
        InputError: no kernel or range has the name that was given, or both were given.
        NoSignalError: nothing was launched in such a range.
    """
    return _made(steps(trace, marker=marker, region=region))


def steps_of_ranges(trace: Trace, hits: list[Hit]) -> tuple[str, StepTable | None, list[str]]:
    """The ranges that hold most occurrences: their pattern and steps; else none and why not."""
    notes: list[str] = []
    for pattern in STEP_RANGES:
        try:
            table = _made(steps(trace, region=pattern))
        except HarnessError:
            continue  # there is no such range, or nothing was launched in it
        inside = sum(table.of(hit.launches, hit.start_ns) is not None for hit in hits)
        if 2 * inside > len(hits):
            return pattern, table, notes
        notes.append(
            f"ranges {pattern!r} hold {inside} of {len(hits)} occurrences, so they are no steps"
        )
    return "", None, notes


def _made(found: Any) -> StepTable:
    return StepTable(found.rule, found.table.to_pylist(), found.notes)
