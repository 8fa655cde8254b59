"""What two calls of a module differ in, field by field.

Compared are classes, types, lengths, scalars, and tensors as `values_diff` says. Of fields that
are each side's own (`harness.record.own_values`) the values may differ, be they tensors, lists or
texts; lengths, shapes and types may not.

The module's class is compared by name (`MODULE`): a mock of another class runs other code, even if
it is called alike. Adapters build both sides of one class; a mock that stands in for another class
on purpose declares it, as ``own_fields`` of both sides or as a known difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.align.values_diff import same_number, tensor_difference
from harness.record.calls import MODULE, ModuleCall
from harness.record.described import CLASS, Rest, TensorFacts
from harness.record.own_values import field_name, placed


@dataclass(frozen=True)
class Difference:
    """One field that differs.

    Attributes:
        path: dotted, the argument's name first.
        kind: ``only mock``, ``only reference``, ``class``, ``type``, ``value``, or the attributes
            of a tensor that differ (``shape, dtype``).
        mock, reference: what each has, as text.
        call: of the forward's calls the first that shows it, from 1.
    """

    path: str
    kind: str
    mock: str
    reference: str
    call: int = 1

    def __str__(self) -> str:
        where = self.path if self.call == 1 else f"call {self.call}, {self.path}"
        if self.kind == "only mock":
            return f"{where}: given only in the mock ({self.mock})"
        if self.kind == "only reference":
            return f"{where}: not given in the mock ({self.reference})"
        return f"{where}: {self.kind} {self.mock} against {self.reference}"


def differences(mock: ModuleCall, reference: ModuleCall, call: int = 1) -> list[Difference]:
    """Every field of two calls that differs, in the reference's order; one line for a tensor.

    Args:
        mock, reference: the calls.
        call: their number, from 1.
    """
    from deepdiff import DeepDiff

    # The mock stands first, so that what deepdiff calls removed is what only the mock has. Lists
    # are compared place by place: one that begins later is no shorter one.
    tree = DeepDiff(
        {MODULE: mock.module, **mock.arguments},
        {MODULE: reference.module, **reference.arguments},
        view="tree",
        zip_ordered_iterables=True,
        ignore_private_variables=False,
    )
    levels = (_owner(level) for group in tree.values() for level in group)
    found = {_dotted(level): _difference(level, call) for level in levels}
    order = {name: at for at, name in enumerate([MODULE, *reference.arguments, *mock.arguments])}
    there = [each for each in found.values() if each is not None]
    return sorted(there, key=lambda each: (order[_argument(each.path, order)], each.path))


def _argument(path: str, names: Mapping[str, int]) -> str:
    """The argument that a path begins with (a name may hold a dot: ``args.0``)."""
    return max((name for name in names if f"{path}.".startswith(f"{name}.")), key=len)


def _owner(level: Any) -> Any:
    """The tensor or rest that a level lies in, else the level itself."""
    above = level
    while above is not None:
        for kind in (TensorFacts, Rest):
            if isinstance(above.t1, kind) and isinstance(above.t2, kind):
                return above
        above = above.up
    return level


def _parts(level: Any) -> list[str | int]:
    return list(level.path(output_format="list"))


def _dotted(level: Any) -> str:
    return ".".join(str(part) for part in _parts(level))


def _difference(level: Any, call: int) -> Difference | None:
    """One level as a difference; None where it is only what may differ."""
    path, one, other = _dotted(level), level.t1, level.t2
    name = field_name(_parts(level))
    if isinstance(one, TensorFacts) and isinstance(other, TensorFacts):
        found = tensor_difference(one, other, name)
        return None if found is None else Difference(path, *found, call)
    if isinstance(one, Rest) and isinstance(other, Rest):
        same = placed(name) and one.count == other.count
        return None if same else Difference(path, "value", str(one), str(other), call)
    if level.report_type.endswith("_removed"):
        return Difference(path, "only mock", _short(one), "", call)
    if level.report_type.endswith("_added"):
        return Difference(path, "only reference", "", _short(other), call)
    if path.endswith(CLASS) or path == MODULE:
        path = path.removesuffix(CLASS).rstrip(".")
        return Difference(path, "class", str(one), str(other), call)
    if type(one) is not type(other):
        return Difference(path, "type", _short(one), _short(other), call)
    if placed(name) or same_number(one, other):
        return None
    return Difference(path, "value", _short(one), _short(other), call)


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and CLASS in value:
        return str(value[CLASS])
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
