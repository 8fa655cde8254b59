"""Do tensors of the same shape, dtype, stride and device pass through every submodule?"""

from __future__ import annotations

from harness.align.checks.common import failed, passed, skipped
from harness.align.model import CheckResult
from harness.align.observation import Observation
from harness.record.dataflow import Flow


def data_flow(observed: Observation) -> CheckResult:
    """Shapes, dtypes, strides, devices of tensors entering and leaving each named submodule."""
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    if mock.flows is None or reference.flows is None:
        missing = mock if mock.flows is None else reference
        return skipped("data flow", missing.flows_missing or f"the {missing.label} is no module")
    ours = {(flow.path, flow.call): flow for flow in mock.flows}
    theirs = {(flow.path, flow.call): flow for flow in reference.flows}
    lines = [f"{_place(key)} is not called in the mock" for key in theirs if key not in ours]
    lines += [f"{_place(key)} is called only in the mock" for key in ours if key not in theirs]
    # The module itself ends last, so its own line would come after those of its submodules.
    for key in sorted(ours.keys() & theirs.keys(), key=lambda place: (place[0], place[1])):
        lines += _differences(ours[key], theirs[key])
    tensors = sum(len(flow.tensors) for flow in theirs.values())
    if not lines:
        return passed(
            "data flow", f"{tensors} tensors at {len(theirs)} submodule calls are the same"
        )
    return failed("data flow", f"{len(lines)} differences in {tensors} tensors", lines)


def _place(key: tuple[str, int]) -> str:
    path, call = key
    return (path or "the module itself") + (f" (call {call})" if call else "")


def _differences(mock: Flow, reference: Flow) -> list[str]:
    lines = []
    for name in [*reference.tensors, *(n for n in mock.tensors if n not in reference.tensors)]:
        one, other = mock.tensors.get(name), reference.tensors.get(name)
        if one != other:
            lines.append(
                f"{_place((mock.path, mock.call))} {name}: "
                f"{one or 'no tensor'} against {other or 'no tensor'}"
            )
    return lines
