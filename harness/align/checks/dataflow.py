"""Do tensors and weights of the same shape, dtype, stride and device meet in every submodule?"""

from __future__ import annotations

from typing import Any

from harness.align.checks.common import limited, skipped
from harness.align.flow_table import FlowRow, flow_rows, weight_rows
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation

NAME = "data flow"


def data_flow(observed: Observation) -> CheckResult:
    """Shapes, dtypes, strides, devices of tensors entering and leaving each named submodule, and
    of its weights, and how these are quantised."""
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    if mock.flows is None or reference.flows is None:
        missing = mock if mock.flows is None else reference
        return skipped(NAME, missing.flows_missing or f"the {missing.label} is no module")
    tensors, weights = flow_rows(mock, reference), weight_rows(mock, reference)
    differing = [row for row in (*tensors, *weights) if not row.same]
    data = {"tensors": _plain(tensors), "weights": _plain(weights)}
    count = sum(len(flow.tensors) for flow in reference.flows)
    held = sum(len(one.tensors) for one in reference.weights)
    if differing:
        text = f"{len(differing)} differences in {count} tensors and {held} weights"
        lines = limited(str(row) for row in differing)
        return CheckResult(NAME, Status.FAIL, text, lines, data)
    if not tensors:
        kept = f"; {held} weights are the same" if held else ""
        text = f"no tensor was seen at any submodule of either side{kept}"
        return CheckResult(NAME, Status.SKIPPED, text, data=data)
    own = f" and {held} weights" if held else ""
    text = f"{count} tensors{own} at {len(reference.flows)} submodule calls are the same"
    return CheckResult(NAME, Status.PASS, text, data=data)


def _plain(rows: list[FlowRow]) -> list[dict[str, Any]]:
    return [{**vars(row), "same": row.same} for row in rows]
