"""The checks, in the order in which reports show them. Each is a file with one question."""

from __future__ import annotations

from collections.abc import Callable

from harness.align.checks import (
    call_parity,
    conditions,
    dataflow,
    fusion,
    graph,
    in_layer,
    kernel_latency,
    latency,
    launch,
    lists,
    numerics,
    order,
    overlap,
    repeats,
    witness,
)
from harness.align.model import CheckResult
from harness.align.observation import Observation

Check = Callable[[Observation], CheckResult]

CHECKS: dict[str, Check] = {
    "names": lists.names,
    "counts": lists.counts,
    "order": order.order,
    "missing": lists.missing,
    "extra": lists.extra,
    fusion.NAME: fusion.fusion,
    "repeats": repeats.repeats,
    "launch": launch.launch,
    kernel_latency.NAME: kernel_latency.kernel_latency,
    "latency": latency.latency,
    "graph": graph.graph,
    overlap.NAME: overlap.overlap,
    "in layer": in_layer.in_layer,
    "data flow": dataflow.data_flow,
    call_parity.NAME: call_parity.call_parity,
    "numerics": numerics.numerics,
    "conditions": conditions.conditions,
    witness.NAME: witness.witness,
}
"""Name -> function from an Observation to a result."""

ON_REQUEST = frozenset({witness.NAME})
"""Checks that are not in the list of a run that did not ask for them."""


def checks_of(observed: Observation) -> dict[str, Check]:
    """The checks that are made of what was seen."""
    asked = set(observed.required)
    if observed.witness is not None:
        asked.add(witness.NAME)
    return {name: each for name, each in CHECKS.items() if name not in ON_REQUEST - asked}
