"""Is the module called as the running model calls it?

Every call of a forward, its arguments and the metadata that it reads beside them, field by field,
as `harness.align.calls_diff` says. Fields that both sides declare to be their own bookkeeping
(`ops.sides.Side.own_fields`) are left out, and the result says how many of them differed.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from harness.align.calls_diff import Difference, differences
from harness.align.checks.common import limited, skipped
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.record.calls import ModuleCall
from harness.record.described import TensorFacts, leaves

__all__ = ["NAME", "Difference", "call_parity", "differences"]

NAME = "call parity"


@dataclass(frozen=True)
class _Compared:
    """All calls of a forward.

    Attributes:
        found: what differs; what several calls show alike stands once.
        aside: paths of what differs and was declared to be each side's own, per call.
        fields: that were compared.
        unread: of tensors in the reference's calls whose values could not be read: path and why.
    """

    found: list[Difference]
    aside: list[str]
    fields: int
    unread: dict[str, str]


def call_parity(observed: Observation) -> CheckResult:
    """The calls of each side in a forward, by their number and their arguments."""
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    for side in (mock, reference):
        if not side.calls:
            text = side.flows_missing or f"no call of the {side.label} as a module was seen"
            return skipped(NAME, text)
    ours, theirs = len(mock.calls), len(reference.calls)
    data: dict[str, Any] = {"calls": {"mock": ours, "reference": theirs}}
    if ours != theirs:
        text = f"called {ours} times in the mock, {theirs} in the reference"
        return CheckResult(NAME, Status.FAIL, text, data=data)
    compared = _compare(list(zip(mock.calls, reference.calls, strict=True)))
    data |= {"own_fields": compared.aside, "unread": compared.unread}
    if not compared.found:
        text = _passed(compared, reference.calls)
        return CheckResult(NAME, Status.PASS, text, data=data)
    of = "the call" if ours == 1 else f"{ours} calls"
    return CheckResult(
        NAME,
        Status.FAIL,
        f"{len(compared.found)} of {compared.fields} fields of {of} differ",
        limited(str(each) for each in compared.found),
        data | {"differences": [vars(each) for each in compared.found]},
    )


def _compare(pairs: list[tuple[ModuleCall, ModuleCall]]) -> _Compared:
    found: dict[tuple[str, ...], Difference] = {}
    aside: list[str] = []
    fields = 0
    unread: dict[str, str] = {}
    for number, (mock, reference) in enumerate(pairs, start=1):
        for each in differences(mock, reference, number):
            if _is_own(each, mock, reference):
                aside.append(each.path)
            else:
                found.setdefault((each.path, each.kind, each.mock, each.reference), each)
        for path, leaf in leaves(reference.arguments):
            fields += 1
            if isinstance(leaf, TensorFacts) and leaf.unread:
                unread[path] = leaf.unread
    return _Compared(list(found.values()), aside, fields - len(aside), unread)


def _passed(compared: _Compared, calls: tuple[ModuleCall, ...]) -> str:
    several = "" if len(calls) == 1 else f"{len(calls)} calls, "
    arguments = sum(len(call.arguments) for call in calls)
    text = f"{several}{arguments} arguments, {compared.fields} fields are the same"
    if compared.aside:
        text += f"; {len(compared.aside)} of each side's own left out"
    if compared.unread:
        text += f"; values of {len(compared.unread)} tensors not read in full"
    return text


def _is_own(difference: Difference, mock: ModuleCall, reference: ModuleCall) -> bool:
    return all(
        any(fnmatchcase(difference.path, pattern) for pattern in call.own_fields)
        for call in (mock, reference)
    )
