"""What a failed check found, one by one, or how far off it is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.align.calls_diff import Difference
from harness.align.checks.common import MOST_DETAILS
from harness.align.flow_table import FlowRow
from harness.align.model import CheckResult

Finding = tuple[str, ...]
"""One thing that a check found, as texts of which one has to be matched: in full, its place."""


def findings(check: CheckResult) -> list[Finding]:
    """Everything that a check found that is declared by ``matching``; none where not all is known.

    Each by its line in the report, and of a tensor or field by its place alone.
    """
    if check.name == "data flow":
        return list(_rows(check.data))
    if check.name == "call parity":
        found = [Difference(**each) for each in check.data.get("differences", ())]
        return [(str(each), each.path) for each in found]
    if len(check.details) > MOST_DETAILS:
        return []
    return [(line,) for line in check.details]


def _rows(data: Mapping[str, Any]) -> Iterator[Finding]:
    for row in (*data.get("tensors", ()), *data.get("weights", ())):
        if not row["same"]:
            values = {name: row[name] for name in FlowRow.__dataclass_fields__}
            yield str(FlowRow(**values)), f"{row['submodule']} {row['what']}"


def distance(check: CheckResult) -> float:
    """How far a check of one figure is off, as a fraction; infinite where that cannot be said."""
    return _DISTANCES[check.name](check.data) if check.data else math.inf


def _of_latency(data: Mapping[str, Any]) -> float:
    return max((abs(float(bound) - 1) for bound in data.get("ci95", ())), default=math.inf)


def _of_numerics(data: Mapping[str, Any]) -> float:
    """Of the outputs and of submodules, the one that is furthest off."""
    return max(map(_off, (data, *data.get("submodules", {}).values()))) or math.inf


def _off(compared: Mapping[str, Any]) -> float:
    """Relative L2 of outputs, of integers the share that differs; 0 where they agree or were not
    compared. What is not finite, or of another shape, is off without a bound."""
    if compared.get("left_out") or not compared["reproducible"]:
        return 0.0
    if compared["problem"] or not compared["finite"]:
        return math.inf
    if not compared["mismatched"]:
        return 0.0
    distance: float = compared["mismatched"] if compared.get("how") else compared["rel_l2"]
    return math.inf if math.isnan(distance) else distance


def _of_overlap(data: Mapping[str, Any]) -> float:
    mock, reference = (statistics.median(data[side]) for side in ("mock", "reference"))
    return float(abs(mock - reference))


_DISTANCES: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "latency": _of_latency,
    "numerics": _of_numerics,
    "overlap": _of_overlap,
}
