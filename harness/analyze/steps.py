"""A Trace cut into steps: forward passes of a server, iterations of a loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from harness.analyze.phase_table import phase_table
from harness.analyze.step_kernels import DeviceKernels, Key
from harness.analyze.step_marker import matching
from harness.analyze.step_period import find_period
from harness.analyze.step_phases import UNKNOWN as UNKNOWN_PHASE
from harness.analyze.step_table import STEPS, Cut, step_rows
from harness.analyze.work import UNKNOWN
from harness.errors import InputError, NoSignalError
from harness.names import display_name
from harness.trace import Trace


@dataclass(frozen=True)
class Steps:
    """The steps of a Trace.

    Attributes:
        rule: how they were told, as a sentence.
        table: one row per step and device; columns of `harness.analyze.step_table.STEPS`.
        phases: prefills and decodes in sum; columns of `harness.analyze.phase_table.PHASES`.
        notes: what could not be told.
    """

    rule: str
    table: pa.Table
    phases: pa.Table
    notes: tuple[str, ...] = ()


def steps(
    trace: Trace, *, marker: str | None = None, region: str | None = None, period: bool = False
) -> Steps:
    """Cut a Trace into steps, each device of each process by itself.

    A kernel is in one step at most; copies are in none. Prefill, decode, warm-up and steady state
    are told by the rules of `harness.analyze.step_phases`; what these cannot tell is ``unknown``.

    Args:
        marker: name of the kernel that ends a step (``argmax``, ``argmax%``); how it is matched
            says `harness.analyze.step_marker.matcher`.
        region: name of the range that is a step, as `fnmatch.fnmatchcase` takes it (``step *``);
            of ranges inside each other the outermost. A kernel is in the step that launched it.
        period: find the repetition of the kernels, as in `harness.analyze.step_period`.

    Raises:
        InputError: not exactly one way was asked for, or no kernel or range has such a name.
        NoSignalError: no kernel has both times, or there is no period.
    """
    if (marker is not None) + (region is not None) + period != 1:
        raise InputError(
            "steps can be cut in one way at a time", fix="give a marker, a region or the period"
        )
    kernels = DeviceKernels(trace)
    if marker is not None:
        return _by_marker(kernels, marker)
    return _by_period(kernels) if region is None else _by_region(kernels, region)


def _by_marker(kernels: DeviceKernels, pattern: str) -> Steps:
    is_marker = matching(kernels.texts, kernels.codes, pattern)
    if not is_marker.any():
        common = display_name(kernels.texts[int(np.bincount(kernels.codes).argmax())])
        raise InputError(
            f"no kernel matches the marker {pattern!r}",
            fix=f"choose a kernel that ends every step (the most frequent is {common})",
        )
    cuts, notes = [], []
    for key, rows in kernels.devices():
        if is_marker[rows].any():
            cuts.append(kernels.at_markers(key, rows, is_marker[rows]))
        else:
            notes.append(f"{_where(key)} ran no kernel that matches {pattern!r}")
    return _steps(f"a step ends with a kernel that matches {pattern!r}", cuts, notes)


def _by_period(kernels: DeviceKernels) -> Steps:
    cuts, notes, rules = [], [], []
    for key, rows in kernels.devices():
        codes = kernels.codes[rows]
        period = find_period(codes, kernels.starts[rows], kernels.ends[rows])
        if isinstance(period, str):
            notes.append(f"{_where(key)} shows no period: {period}")
            continue
        cuts.append(kernels.at_markers(key, rows, codes == period.marker))
        name = display_name(kernels.texts[period.marker])
        rules.append(
            f"{_where(key)}: of the last {period.among} kernels {period.agreement:.1%} repeat "
            f"every {period.kernels}; a step ends with {name}, which occurs once in that many"
        )
    if not cuts:
        raise NoSignalError(
            "the kernels show no steps: " + "; ".join(notes),
            fix="name what a step is: --steps KERNEL or --step-range PATTERN",
        )
    notes.append("what repeats is a layer where the recording holds too few steps")
    return _steps("; ".join(rules), cuts, notes)


def _by_region(kernels: DeviceKernels, pattern: str) -> Steps:
    tree = kernels.tree
    outermost = tree.outermost(pattern)
    ranges = set(outermost) - {UNKNOWN}
    if not ranges:
        raise InputError(
            f"no range matches {pattern!r}",
            fix="--ranges lists the names; * stands for any text",
        )
    # one more for kernels in no range, whose place is -1
    step_of = np.array([*outermost, UNKNOWN], np.int64)[kernels.places]
    cuts = []
    for key, rows in kernels.devices():
        mine = step_of[rows]
        found, first = np.unique(mine[mine != UNKNOWN], return_index=True)
        if len(found):
            found = found[np.argsort(first)]
            number = np.full(len(tree.names) + 1, UNKNOWN, np.int64)
            number[found] = np.arange(len(found))
            names: list[str | None] = [tree.names[place] for place in found.tolist()]
            cuts.append(kernels.cut(key, rows, number[mine], names))
    if not cuts:
        raise NoSignalError(
            f"no kernel was launched in the {len(ranges)} ranges that match {pattern!r}",
            fix="choose ranges around the launches",
        )
    empty = len(ranges) - len({place for place in step_of.tolist() if place != UNKNOWN})
    notes = [f"{empty} ranges that match launched no kernel"] if empty else []
    return _steps(f"a step is what a range that matches {pattern!r} launched", cuts, notes)


def _where(key: Key) -> str:
    process, device = ("unknown" if one is None else one for one in key)
    return f"device {device} of process {process}"


def _steps(rule: str, cuts: list[Cut], notes: list[str]) -> Steps:
    rows = [row for cut in cuts for row in step_rows(cut)]
    table = pa.Table.from_pylist(rows, STEPS)
    if any(row["phase"] == UNKNOWN_PHASE for row in rows):
        notes = [*notes, "prefill and decode cannot be told apart for some steps"]
    return Steps(rule, table, phase_table(rows), tuple(notes))
