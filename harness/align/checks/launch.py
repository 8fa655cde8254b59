"""Do the pairs that the names matched have the same launch configuration?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.align.checks.common import limited
from harness.align.checks.launch_columns import Compared, compared
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.align.script import Ints


def launch(observed: Observation) -> CheckResult:
    """Same grid, block, cluster, shared memory and registers for each matched pair.

    ATen calls have no launch configuration; the shapes, strides and dtypes of their tensors are
    compared in its place. Only what both sides know of a pair is compared: what is left out stands
    in the reason. Other kernels of one family in one place are shown and not judged here: the names
    have failed already.
    """
    one, other = observed.lists
    exact = compared(one.activities, other.activities, *_exact(observed))
    related = compared(one.activities, other.activities, *_related(observed))
    family = _lines(related.ways)
    data = {
        "family_pairs": related.pairs,
        "family_differences": list(limited(family)),
        "not_compared": {name: list(each) for name, each in exact.unknown.items()},
    }
    if not exact.judged:
        return CheckResult("launch", Status.SKIPPED, _nothing(exact), limited(family), data)
    what = "tensors of ATen calls" if exact.operators else "launch configurations"
    more = f"; {related.pairs} pairs are of one family only" if related.pairs else ""
    more += _left_out(exact)
    lines = _lines(exact.ways)
    details = (*limited(lines), *(f"of one family: {line}" for line in limited(family)))
    if not lines:
        text = f"the same {what} in {exact.judged} matched pairs{more}"
        return CheckResult("launch", Status.PASS, text, details, data)
    different = sum(exact.ways.values())
    text = f"other {what} in {different} of {exact.judged} matched pairs{more}"
    return CheckResult("launch", Status.FAIL, text, details, data)


def _exact(observed: Observation) -> tuple[Ints, Ints]:
    """Rows of launches of one name, of the mock and of the reference."""
    parts = [pair.matched_columns() for pair in observed.matching]
    mock, reference = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return mock, reference


def _related(observed: Observation) -> tuple[Ints, Ints]:
    """The same of other kernels of one family."""
    rows = [rows for pair in observed.matching for rows in pair.related_rows()]
    mock, reference = np.array(rows, np.int64).reshape(-1, 2).T
    return mock, reference


def _nothing(exact: Compared) -> str:
    if not exact.pairs:
        return "no two launches have the same name"
    return f"of none of {exact.pairs} matched pairs both sides know how it was launched"


def _left_out(exact: Compared) -> str:
    """Fields that a side does not know."""
    parts = [
        field if count == all_pairs else f"{field} in {count} of {all_pairs} pairs"
        for field, (count, all_pairs) in exact.unknown.items()
    ]
    return f"; not compared, as a side does not know it: {', '.join(parts)}" if parts else ""


def _lines(found: Mapping[str, int]) -> list[str]:
    return [f"{line}; {count} times" if count > 1 else line for line, count in found.items()]
