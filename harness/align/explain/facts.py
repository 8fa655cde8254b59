"""All facts of an observation that rules may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.align.explain.configurations import configuration_facts
from harness.align.explain.fields import call_facts
from harness.align.explain.launches import launch_facts
from harness.align.explain.outcomes import outcome_facts
from harness.align.explain.rules import Facts, Rulebook
from harness.align.explain.sequences import forward_facts, graph_facts, stream_facts
from harness.align.explain.tensors import tensor_facts
from harness.align.explain.times import time_facts
from harness.align.model import CheckResult
from harness.align.observation import Observation

SIZES = ("shapes_that_differ", "strides_that_differ", "dtypes_that_differ")
"""Facts of tensors at submodules, any of which gives kernels a reason to differ; a side without
data flow has none, so what follows from them is known to be 0 or 1."""


def gather(
    observed: Observation, checks: tuple[CheckResult, ...], case: Mapping[str, Any], book: Rulebook
) -> Facts:
    """Every fact that the observation gives; what it cannot tell is absent.

    Args:
        observed: both sides.
        checks: their results, of which ``call parity`` is read.
        case: fields of the case, and ``heads`` and ``index_topk`` of the reference where known.
        book: classes of kernels, fields and submodules.
    """
    facts: dict[str, Any] = silence(observed)
    if observed.reference is None or facts["empty_sides"]:
        return facts
    heads = case.get("heads")
    facts |= call_facts(observed.mock, observed.reference, book)
    facts |= tensor_facts(observed.mock, observed.reference, book, heads)
    facts |= launch_facts(observed, book)
    facts |= configuration_facts(observed, book)
    facts |= stream_facts(observed)
    facts |= graph_facts(observed, book)
    facts |= forward_facts(observed)
    facts |= time_facts(observed)
    facts |= outcome_facts(observed, checks, book)
    facts["sizes_differ"] = int(any(facts.get(name) for name in SIZES))
    return facts | _short_sequence(facts, case)


def silence(observed: Observation) -> dict[str, Any]:
    """Which sides launched nothing, and whether their recorders saw the GPU at all."""
    sides = [side for side in (observed.mock, observed.reference) if side is not None]
    empty = [side for side in sides if not any(len(trace) for trace in side.traces)]
    calls = sum(trace.calls.num_rows for side in empty for trace in side.traces)
    found: dict[str, Any] = {"empty_sides": len(empty), "calls_of_empty_sides": calls}
    if empty:
        found["empty_side"] = " and ".join(side.label for side in empty)
    return found


def _short_sequence(facts: Mapping[str, Any], case: Mapping[str, Any]) -> dict[str, Any]:
    """Whether one side's KV length is within index_topk and the other's is not."""
    topk = case.get("index_topk")
    lengths = [facts.get(f"{side}_kv_length") for side in ("mock", "reference")]
    if not topk or None in lengths:
        return {}
    short = [length <= topk for length in lengths if length is not None]
    return {"index_topk": topk, "within_topk_on_one_side": int(short[0] != short[1])}
