"""Do the pairs that the names matched have the same launch configuration?"""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.align.checks.common import limited
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.names import display_name
from harness.names.identity import NAMELESS
from harness.trace.schema import LAUNCH_CONFIGURATION

TENSORS = ("inputs", "outputs")


def launch(observed: Observation) -> CheckResult:
    """Same grid, block, cluster, shared memory and registers for each matched pair.

    ATen calls have no launch configuration; the shapes, strides and dtypes of their tensors are
    compared in its place. Other kernels of one family in one place are shown and not judged here:
    the names have failed already.
    """
    pairs, related = _pairs(observed)
    different = _differences(pairs)
    lines, family = _lines(different), _lines(_differences(related))
    data = {"family_pairs": len(related), "family_differences": list(limited(family))}
    if not pairs:
        reason = "no two launches have the same name"
        return CheckResult("launch", Status.SKIPPED, reason, limited(family), data)
    operators = pairs[0][1]["kind"] == "op"
    what = "tensors of ATen calls" if operators else "launch configurations"
    more = f"; {len(related)} pairs are of one family only" if related else ""
    details = (*limited(lines), *(f"of one family: {line}" for line in limited(family)))
    if not lines:
        text = f"the same {what} in {len(pairs)} matched pairs{more}"
        return CheckResult("launch", Status.PASS, text, details, data)
    text = f"other {what} in {different.total()} of {len(pairs)} matched pairs{more}"
    return CheckResult("launch", Status.FAIL, text, details, data)


_Pair = tuple[dict[str, Any], dict[str, Any]]


def _pairs(observed: Observation) -> tuple[list[_Pair], list[_Pair]]:
    """Rows of launches of one name, and of other kernels of one family."""
    mock, reference = (list(trace.rows()) for trace in observed.lists)
    exact = [rows for pair in observed.matching for rows in pair.matched_rows()]
    related = [rows for pair in observed.matching for rows in pair.related_rows()]
    return (
        [(mock[one], reference[other]) for one, other in exact],
        [(mock[one], reference[other]) for one, other in related],
    )


def _differences(pairs: list[_Pair]) -> Counter[str]:
    """How many pairs differ in each way."""
    return Counter(
        f"{_named(mock, reference)}: {difference}"
        for mock, reference in pairs
        if (difference := _difference(mock, reference, _fields(reference)))
    )


def _lines(found: Counter[str]) -> list[str]:
    return [f"{line}; {count} times" if count > 1 else line for line, count in found.items()]


def _fields(row: dict[str, Any]) -> tuple[str, ...]:
    return TENSORS if row["kind"] == "op" else LAUNCH_CONFIGURATION


def _named(mock: dict[str, Any], reference: dict[str, Any]) -> str:
    one, other = (display_name(row["name"] or NAMELESS, row["kind"]) for row in (mock, reference))
    return one if one == other else f"{one} for {other}"


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
