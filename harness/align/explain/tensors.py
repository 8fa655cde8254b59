"""Facts from the tensors and weights of submodules."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from harness.align.explain.rules import Facts, Rulebook
from harness.align.flow_table import ABSENT, FlowRow, weight_rows
from harness.align.observation import SideObservation
from harness.record.dataflow import Flow, TensorSpec


def tensor_facts(
    mock: SideObservation, reference: SideObservation, book: Rulebook, heads: int | None
) -> Facts:
    """Factor of the heads, dtypes, strides, submodules that are not called, quantisation.

    Args:
        mock, reference: both sides; without data flow there are no facts.
        book: knows which submodules are which.
        heads: of the reference on one rank, where known.
    """
    if mock.flows is None or reference.flows is None:
        return {}
    ours, theirs = (_specs(side.flows or ()) for side in (mock, reference))
    both = [(ours[key], theirs[key]) for key in theirs.keys() & ours.keys()]
    facts: dict[str, Any] = {
        "tensors_that_differ": sum(one != other for one, other in both),
        "shapes_that_differ": sum(one.shape != other.shape for one, other in both),
        "strides_that_differ": sum(_only_stride(one, other) for one, other in both),
        **_heads(ours, theirs, book, heads),
        **_dtypes(both),
        **_calls(mock, reference, book),
    }
    weights = weight_rows(mock, reference)
    return facts | _weights(weights)


def _specs(flows: tuple[Flow, ...]) -> dict[tuple[str, int, str], TensorSpec]:
    return {
        (flow.path, flow.call, name): spec for flow in flows for name, spec in flow.tensors.items()
    }


def _only_stride(mock: TensorSpec, reference: TensorSpec) -> bool:
    same = mock.shape == reference.shape and mock.dtype == reference.dtype
    return same and mock.stride != reference.stride


def _heads(
    mock: Mapping[Any, TensorSpec], reference: Mapping[Any, TensorSpec], book: Rulebook,
    heads: int | None,
) -> dict[str, Any]:  # fmt: skip
    """What enters the output projection is heads x value dimension wide."""
    for key, other in reference.items():
        one = mock.get(key)
        if one is None or not key[2].startswith("in") or not one.shape or not other.shape:
            continue
        if not book.submodules["after heads"].search(key[0]) or not other.shape[-1]:
            continue
        factor = one.shape[-1] / other.shape[-1]
        found: dict[str, Any] = {"heads_factor": factor, "heads_differ": int(factor != 1)}
        if heads:
            pair = (heads * factor, heads)
            found |= {"mock_heads": int(pair[0]), "reference_heads": heads}
            found |= {"most_heads": max(pair), "fewest_heads": min(pair)}
        return found
    return {}


def _dtypes(both: list[tuple[TensorSpec, TensorSpec]]) -> dict[str, Any]:
    changes = Counter((one.dtype, other.dtype) for one, other in both if one.dtype != other.dtype)
    if not changes:
        return {"dtypes_that_differ": 0}
    (mock, reference), _ = changes.most_common(1)[0]
    floats = ("float", "bfloat")
    wide = mock.startswith(floats) and reference.startswith(floats)
    return {
        "dtypes_that_differ": changes.total() if wide else 0,
        "mock_dtype": mock,
        "reference_dtype": reference,
    }


def _calls(mock: SideObservation, reference: SideObservation, book: Rulebook) -> dict[str, Any]:
    ours = {(flow.path, flow.call) for flow in mock.flows or ()}
    theirs = {(flow.path, flow.call) for flow in reference.flows or ()}
    found: dict[str, Any] = {
        f"uncalled_{_word(role)}": sum(bool(pattern.search(path)) for path, _ in theirs - ours)
        for role, pattern in book.submodules.items()
    }
    found["submodule_calls_of_one_side"] = len(ours ^ theirs)
    if ours != theirs:
        found["first_submodule_of_one_side"] = min(path for path, _ in ours ^ theirs)
    return found


def _weights(rows: list[FlowRow]) -> dict[str, Any]:
    other = [row for row in rows if not row.same]
    quantised = [row for row in other if row.what == "quantisation"]
    present = [row for row in quantised if ABSENT not in (row.mock, row.reference)]
    found: dict[str, Any] = {"weights_that_differ": len(other) - len(quantised)}
    found["quantisations_that_differ"] = len(present)
    if present:
        found["quantised_submodule"] = str(present[0])
    return found


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text)
