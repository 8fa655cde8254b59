"""Is the module called as the running model calls it?

The arguments, and the metadata that a call reads beside them, field by field. Compared are shapes,
strides, dtypes, devices, alignment, classes, scalars and the range of whole numbers. Of floating
tensors the range may differ by `FLOAT_TOLERANCE`: caches hold what kernels computed, and some of
these differ from themselves. Fields that say where in memory something lies (`PLACEMENT`) may hold
other values, since each side has its own cache; their shapes and dtypes may not differ. Fields that
both sides declare to be their own bookkeeping (`ops.sides.Side.own_fields`) are left out, and the
result says how many of them differed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from harness.align.checks.common import limited, skipped
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.record.calls import ModuleCall
from harness.record.described import CLASS, TensorFacts

NAME = "call parity"

FLOAT_TOLERANCE = 0.05
"""Of the larger magnitude of a floating tensor's range."""

PLACEMENT = (
    "*block_table*",
    "*slot_mapping*",
    "*block_ids*",
    "*block_idx*",
    "*req_id*",
    "*prefix*",
)
"""Fields whose values are addresses or names of one side's own cache."""

ATTRIBUTES = ("shape", "stride", "dtype", "device", "alignment")
"""Of a tensor; in the order in which they are shown."""


@dataclass(frozen=True)
class Difference:
    """One field that differs.

    Attributes:
        path: dotted, the argument's name first.
        kind: ``only mock``, ``only reference``, ``class``, ``type``, ``value``, or the attributes
            of a tensor that differ (``shape, dtype``).
        mock, reference: what each has, as text.
    """

    path: str
    kind: str
    mock: str
    reference: str

    def __str__(self) -> str:
        if self.kind == "only mock":
            return f"{self.path}: given only in the mock ({self.mock})"
        if self.kind == "only reference":
            return f"{self.path}: not given in the mock ({self.reference})"
        return f"{self.path}: {self.kind} {self.mock} against {self.reference}"


def call_parity(observed: Observation) -> CheckResult:
    """The first call of each side in a forward, by its arguments."""
    mock, reference = observed.mock, observed.reference
    assert reference is not None
    for side in (mock, reference):
        if not side.calls:
            text = side.flows_missing or f"no call of the {side.label} as a module was seen"
            return skipped(NAME, text)
    one, other = mock.calls[0], reference.calls[0]
    if len(mock.calls) != len(reference.calls):
        text = (
            f"called {len(mock.calls)} times in the mock, {len(reference.calls)} in the reference"
        )
        return CheckResult(NAME, Status.FAIL, text)
    every = differences(one, other)
    found = [each for each in every if not _is_own(each, one, other)]
    aside = [each.path for each in every if _is_own(each, one, other)]
    fields = sum(1 for _ in _leaves(other.arguments)) - len(aside)
    if not found:
        text = f"{len(other.arguments)} arguments, {fields} fields are the same"
        left_out = f"; {len(aside)} of each side's own left out" if aside else ""
        return CheckResult(NAME, Status.PASS, text + left_out, data={"own_fields": aside})
    return CheckResult(
        NAME,
        Status.FAIL,
        f"{len(found)} of {fields} fields of the call differ",
        limited(str(each) for each in found),
        {"differences": [vars(each) for each in found], "own_fields": aside},
    )


def _is_own(difference: Difference, mock: ModuleCall, reference: ModuleCall) -> bool:
    return all(
        any(fnmatchcase(difference.path, pattern) for pattern in call.own_fields)
        for call in (mock, reference)
    )


def differences(mock: ModuleCall, reference: ModuleCall) -> list[Difference]:
    """Every field of two calls that differs, in the reference's order; one line for a tensor."""
    from deepdiff import DeepDiff

    # The mock stands first, so that what deepdiff calls removed is what only the mock has.
    tree = DeepDiff(dict(mock.arguments), dict(reference.arguments), view="tree")
    tensors: dict[str, tuple[TensorFacts, TensorFacts]] = {}
    found = []
    for level in (level for group in tree.values() for level in group):
        owner = _tensor_above(level)
        if owner is None:
            found.append(_field(level))
        else:
            tensors[_dotted(owner)] = (owner.t1, owner.t2)
    found += [line for path, pair in tensors.items() if (line := _tensor(path, *pair))]
    order = {name: at for at, name in enumerate([*reference.arguments, *mock.arguments])}
    return sorted(found, key=lambda each: (order[_argument(each.path, order)], each.path))


def _argument(path: str, names: Mapping[str, int]) -> str:
    """The argument that a path begins with (a name may hold a dot: ``args.0``)."""
    return max((name for name in names if f"{path}.".startswith(f"{name}.")), key=len)


def _tensor_above(level: Any) -> Any:
    while level is not None:
        if isinstance(level.t1, TensorFacts) and isinstance(level.t2, TensorFacts):
            return level
        level = level.up
    return None


def _dotted(level: Any) -> str:
    return ".".join(str(part) for part in level.path(output_format="list"))


def _field(level: Any) -> Difference:
    path = _dotted(level)
    if level.report_type.endswith("_removed"):
        return Difference(path, "only mock", _short(level.t1), "")
    if level.report_type.endswith("_added"):
        return Difference(path, "only reference", "", _short(level.t2))
    if path.endswith(CLASS):
        path = path.removesuffix(CLASS).rstrip(".")
        return Difference(path, "class", str(level.t1), str(level.t2))
    kind = "type" if type(level.t1) is not type(level.t2) else "value"
    return Difference(path, kind, _short(level.t1), _short(level.t2))


def _tensor(path: str, mock: TensorFacts, reference: TensorFacts) -> Difference | None:
    """What two tensors differ in; None where it is only what may differ."""
    names = [name for name in ATTRIBUTES if getattr(mock, name) != getattr(reference, name)]
    if "shape" in names and mock.contiguous and reference.contiguous and "stride" in names:
        names.remove("stride")  # follows from the shape
    if not _may_differ(mock, reference, path):
        names.append("values")
    if not names:
        return None
    texts = [", ".join(_shown(facts, name) for name in names) for facts in (mock, reference)]
    return Difference(path, ", ".join(names), *texts)


def _shown(facts: TensorFacts, name: str) -> str:
    if name == "values":
        return "unknown" if facts.least is None else f"{facts.least} to {facts.most}"
    value = getattr(facts, name)
    return str(list(value) if isinstance(value, tuple) else value)


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and CLASS in value:
        return str(value[CLASS])
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _may_differ(mock: TensorFacts, reference: TensorFacts, path: str) -> bool:
    ours, theirs = (mock.least, mock.most), (reference.least, reference.most)
    if ours == theirs or any(fnmatchcase(path, pattern) for pattern in PLACEMENT):
        return True
    if None in ours or None in theirs or "float" not in mock.dtype:
        return False
    numbers = [(float(a), float(b)) for a, b in zip(ours, theirs, strict=True)]  # type: ignore[arg-type]
    scale = max(abs(value) for pair in numbers for value in pair)
    return all(abs(a - b) <= FLOAT_TOLERANCE * scale for a, b in numbers)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
