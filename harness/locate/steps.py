"""The steps of a model's Trace, so that occurrences get a step, a layer and a phase.

Steps are told by the first of these that applies, and the answer says which one it was:
a kernel or range that the user names; ranges that recorders, servers and profilers put around a
forward pass (`harness.locate.step_ranges`); replays of CUDA graphs that are whole steps; the number
of the layer in the regions' names, which comes again; a kernel with the same number of occurrences
between any two of its launches (`harness.locate.step_candidates`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.analyze.step_kernels import DeviceKernels
from harness.analyze.work import UNKNOWN
from harness.locate.hits import Hit, on_devices
from harness.locate.launches import Launches
from harness.locate.layer_numbers import repeats
from harness.locate.step_candidates import Division, divisions
from harness.locate.step_end import Begins, begins
from harness.locate.step_graphs import are_steps, steps_of_graphs
from harness.locate.step_lookup import StepTable
from harness.locate.step_ranges import PROFILER_STEP, steps_named, steps_of_ranges
from harness.locate.step_rows import rows_of
from harness.trace import Trace

ONE = "no steps can be told, so all occurrences are taken as one"


def find_steps(trace: Trace, hits: list[Hit], marker: str | None, region: str | None) -> StepTable:
    """Cut the Trace by what the user named, or by the first rule that applies.

    Raises:
        InputError: no kernel or range has the name that was given, or both were given.
        NoSignalError: nothing was launched in such a range.
    """
    if marker is not None or region is not None:
        return steps_named(trace, marker, region)
    if not hits:
        return StepTable(ONE)
    pattern, table, notes = steps_of_ranges(trace, hits)
    if table is not None:
        return _within(trace, hits, table) if pattern == PROFILER_STEP else table
    found = _told(hits)
    table = None
    if are_steps(trace, hits, {key: bounds for key, (bounds, _) in found.items()}):
        table = steps_of_graphs(trace, hits)
    if table is None:
        table = _cut(trace, {key: one for key, (_, one) in found.items()}, hits)
    return replace(table, notes=(*table.notes, *notes))


def _told(hits: list[Hit]) -> dict[int, tuple[tuple[int, ...], Begins]]:
    """By device (`id` of its launches): first occurrences of its steps, and where they begin."""
    found = {}
    for launches, mine in on_devices(hits):
        numbered = repeats([hit.region for hit in mine])
        if (launches.starts < 0).any():
            continue
        divided = divisions(launches, [hit.places for hit in mine])
        if 2 * sum(hit.replay != UNKNOWN for hit in mine) > len(mine):
            divided = [one for one in divided if _is_outside_graphs(launches, one)]
        if numbered is not None:
            found[id(launches)] = numbered, _numbered(launches, mine, numbered, divided)
        elif divided:
            found[id(launches)] = divided[0].bounds, begins(launches, divided)
    return found


def _is_outside_graphs(launches: Launches, division: Division) -> bool:
    """Whether a kernel that no graph holds divides so: what is in a graph tells of its replays."""
    return any((launches.replays[one.places] == UNKNOWN).all() for one in division.candidates)


def _numbered(
    launches: Launches, mine: list[Hit], bounds: tuple[int, ...], divided: list[Division]
) -> Begins:
    """Steps of repeated layer numbers, from a kernel that divides them so where there is one."""
    same = [one for one in divided if one.bounds == bounds]
    if same:
        return begins(launches, same)
    rule = "a step begins where the number of a layer in the regions' names comes again"
    places = [int(mine[place].places[0]) for place in bounds]
    return Begins(np.array([0, *places]), True, rule)


def _cut(trace: Trace, found: dict[int, Begins], hits: list[Hit]) -> StepTable:
    rows: list[dict[str, Any]] = []
    rules: list[str] = []
    notes: list[str] = []
    if found:
        kernels = DeviceKernels(trace)
        for launches, _ in on_devices(hits):
            if id(launches) in found:
                one = found[id(launches)]
                rows += rows_of(kernels, launches, one)
                rules.append(one.rule)
                notes += one.notes
    if not rows:
        text = "nothing but the operator tells steps; --steps KERNEL or --step-range does"
        timed = all(bool((one.starts >= 0).all()) for one, _ in on_devices(hits))
        return StepTable(ONE, notes=(text,) if len(hits) > 1 and timed else ())
    return StepTable("; ".join(dict.fromkeys(rules)), rows, tuple(dict.fromkeys(notes)))


def _within(trace: Trace, hits: list[Hit], ranges: StepTable) -> StepTable:
    """The steps inside of profiler steps where these hold several; else the profiler steps."""
    held = [hit for hit in hits if ranges.of(hit.launches, hit.start_ns) is not None]
    found = {}
    for launches, mine in on_devices(held):
        divided = divisions(launches, [hit.places for hit in mine])
        steps = [ranges.of(launches, hit.start_ns) for hit in mine]
        outer = {at for at in range(1, len(mine)) if steps[at] != steps[at - 1]}
        inner = [one for one in divided if outer < set(one.bounds) and all(one.likeness[:2])]
        if not inner:
            return ranges
        found[id(launches)] = begins(launches, inner)
    return _cut(trace, found, held)
