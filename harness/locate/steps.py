"""The steps of a model's Trace, so that occurrences get a step, a layer and a phase.

Steps are told by the first of these that applies, and the answer says which one it was:
a kernel or range that the user names; ranges that servers and profilers put around a forward pass
(`STEP_RANGES`); replays of CUDA graphs, where the occurrences are in graphs; a kernel with the same
number of occurrences between any two of its launches (`harness.locate.step_end`).
"""

from __future__ import annotations

from typing import Any

from harness.analyze.step_kernels import DeviceKernels
from harness.analyze.step_table import step_rows
from harness.analyze.steps import steps
from harness.errors import HarnessError
from harness.locate.step_end import step_end
from harness.locate.step_graphs import steps_of_graphs
from harness.locate.step_lookup import Placed, StepTable
from harness.names import display_name
from harness.trace import Trace

STEP_RANGES = ("execute_context_*", "*_forward_step *", "ProfilerStep#*")
"""Ranges that are a forward pass: of vLLM's model runner, TensorRT-LLM's executor, torch.profiler.
Checked in this order, since a ProfilerStep may hold several forward passes."""

ONE = "no steps can be told, so all occurrences are taken as one"


def find_steps(trace: Trace, placed: Placed, marker: str | None, region: str | None) -> StepTable:
    """Cut the Trace by what the user named, or by the first rule that applies.

    Raises:
        InputError: no kernel or range has the name that was given, or both were given.
        NoSignalError: nothing was launched in such a range.
    """
    if marker is not None or region is not None:
        return _made(steps(trace, marker=marker, region=region))
    for attempt in (_by_known_range, steps_of_graphs, _by_step_end):
        found = attempt(trace, placed)
        if found is not None:
            return found
    return StepTable(ONE)


def _made(found: Any) -> StepTable:
    return StepTable(found.rule, found.table.to_pylist(), found.notes)


def _by_known_range(trace: Trace, placed: Placed) -> StepTable | None:
    del placed
    for pattern in STEP_RANGES:
        try:
            return _made(steps(trace, region=pattern))
        except HarnessError:
            continue  # there is no such range, or nothing was launched in it
    return None


def _by_step_end(trace: Trace, placed: Placed) -> StepTable | None:
    devices = list({id(one): one for one, _ in placed}.values())
    if not devices or any((one.starts < 0).any() for one in devices):
        return None
    kernels = DeviceKernels(trace)
    rows, rules = [], []
    for launches in devices:
        mine = sorted((p for one, p in placed if one is launches), key=lambda p: int(p[0]))
        found = step_end(launches, mine)
        if found is None:
            continue
        name, layers = found
        for key, places in kernels.devices():
            is_end = kernels.codes[places] == kernels.texts.index(name)
            if key == (launches.process, launches.device):
                rows += step_rows(kernels.at_markers(key, places, is_end))
                rules.append(f"{layers} occurrences lie between launches of {display_name(name)}")
    if not rows:
        text = "nothing but the operator tells steps; --steps KERNEL or --step-range does"
        return StepTable(ONE, notes=(text,)) if len(placed) > 1 else None
    rule = "a step ends with a kernel that comes once in it: "
    return StepTable(rule + "; ".join(dict.fromkeys(rules)), rows)
