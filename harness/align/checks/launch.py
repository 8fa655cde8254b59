"""Do the pairs that the names matched have the same launch configuration?"""

from __future__ import annotations

from typing import Any

from harness.align.checks.common import failed, passed, skipped
from harness.align.model import CheckResult
from harness.align.observation import Observation
from harness.names import display_name
from harness.trace.schema import LAUNCH_CONFIGURATION

TENSORS = ("inputs", "outputs")


def launch(observed: Observation) -> CheckResult:
    """Same grid, block, cluster, shared memory and registers for each matched pair.

    ATen calls have no launch configuration; the shapes, strides and dtypes of their tensors are
    compared in its place.
    """
    pairs = _pairs(observed)
    if not pairs:
        return skipped("launch", "no two launches have the same name")
    fields = TENSORS if pairs[0][1]["kind"] == "op" else LAUNCH_CONFIGURATION
    what = "tensors of ATen calls" if fields is TENSORS else "launch configurations"
    lines = [
        f"{display_name(mock['name'], mock['kind'])}: {difference}"
        for mock, reference in pairs
        if (difference := _difference(mock, reference, fields))
    ]
    if not lines:
        return passed("launch", f"the same {what} in {len(pairs)} matched pairs")
    return failed("launch", f"other {what} in {len(lines)} of {len(pairs)} matched pairs", lines)


def _pairs(observed: Observation) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    mock, reference = (list(trace.rows()) for trace in observed.lists)
    return [
        (mock[one], reference[other])
        for pair in observed.streams
        for one, other in pair.matched_rows()
    ]


def _difference(mock: dict[str, Any], reference: dict[str, Any], fields: tuple[str, ...]) -> str:
    return "; ".join(
        f"{field} {_shown(mock[field])} against {_shown(reference[field])}"
        for field in fields
        if mock[field] != reference[field]
    )


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return ", ".join(_tensor(tensor) for tensor in value)
    return str(value)


def _tensor(tensor: dict[str, Any]) -> str:
    return f"{tensor['dtype']}{list(tensor['shape'])}"
