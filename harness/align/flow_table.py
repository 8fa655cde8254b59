"""The tensors and weights of each named submodule, both sides next to each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.align.observation import SideObservation
from harness.record.dataflow import Flow
from harness.record.weights import WeightSpecs

ABSENT = "-"


@dataclass(frozen=True)
class FlowRow:
    """One tensor, weight or quantisation of both sides.

    Attributes:
        submodule: dotted path; ``the module itself`` for the compared one, ``path (call 1)`` for a
            second call.
        what: ``in.hidden_states``, ``out``, ``weight q_proj.weight``, ``quantisation``, ``called``.
        mock, reference: as text; `ABSENT` where a side has none.
    """

    submodule: str
    what: str
    mock: str
    reference: str

    @property
    def same(self) -> bool:
        """Whether both sides have the same."""
        return self.mock == self.reference

    def __str__(self) -> str:
        if self.what == "called":
            only = "is called only in the mock" if self.reference == ABSENT else ""
            return f"{self.submodule} {only or 'is not called in the mock'}"
        return f"{self.submodule} {self.what}: {self.mock} against {self.reference}"


def flow_rows(mock: SideObservation, reference: SideObservation) -> list[FlowRow]:
    """Tensors at each submodule call: calls of one side alone first, the module itself before
    its submodules."""
    ours = {(flow.path, flow.call): flow for flow in mock.flows or ()}
    theirs = {(flow.path, flow.call): flow for flow in reference.flows or ()}
    rows = [FlowRow(_place(*key), "called", ABSENT, "yes") for key in theirs if key not in ours]
    rows += [FlowRow(_place(*key), "called", "yes", ABSENT) for key in ours if key not in theirs]
    for key in sorted(ours.keys() & theirs.keys()):
        rows += _tensors(ours[key], theirs[key])
    return rows


def _tensors(mock: Flow, reference: Flow) -> Iterator[FlowRow]:
    for name in dict.fromkeys([*reference.tensors, *mock.tensors]):
        one, other = mock.tensors.get(name), reference.tensors.get(name)
        yield FlowRow(_place(mock.path, mock.call), name, _text(one), _text(other))


def weight_rows(mock: SideObservation, reference: SideObservation) -> list[FlowRow]:
    """Weights by name and quantisation of each submodule that has weights on a side."""
    ours = {one.path: one for one in mock.weights}
    theirs = {one.path: one for one in reference.weights}
    return [
        row
        for path in dict.fromkeys([*theirs, *ours])
        for row in _weights(path, ours.get(path), theirs.get(path))
    ]


def _weights(
    path: str, mock: WeightSpecs | None, reference: WeightSpecs | None
) -> Iterator[FlowRow]:
    ours, theirs = (one.tensors if one else {} for one in (mock, reference))
    for name in dict.fromkeys([*theirs, *ours]):
        one, other = ours.get(name), theirs.get(name)
        yield FlowRow(_place(path, 0), f"weight {name}", _text(one), _text(other))
    quantised = [one.quantisation if one else ABSENT for one in (mock, reference)]
    yield FlowRow(_place(path, 0), "quantisation", *quantised)


def _place(path: str, call: int) -> str:
    return (path or "the module itself") + (f" (call {call})" if call else "")


def _text(value: object) -> str:
    return ABSENT if value is None else str(value)
