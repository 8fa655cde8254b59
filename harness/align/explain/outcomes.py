"""Facts from what checks other than those of the lists look at: values, calls, layers, records."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.align.explain.rules import Facts, Rulebook
from harness.align.model import CheckResult, Status
from harness.align.observation import Observation
from harness.names import identity_keys


def outcome_facts(
    observed: Observation, checks: tuple[CheckResult, ...], book: Rulebook
) -> dict[str, Any]:
    """Values, calls, the running layer and lost records."""
    return {
        **_values(observed),
        **_calls(observed, checks),
        **_layer(observed),
        **_losses(observed, book),
    }


def check_facts(check: CheckResult) -> Facts:
    """What rules of last resort say of a check: that it failed, why, and its first detail."""
    return {
        "this_check_failed": int(check.status in (Status.FAIL, Status.KNOWN)),
        "reason": check.reason,
        "first_detail": check.details[0] if check.details else check.reason,
    }


def _values(observed: Observation) -> dict[str, Any]:
    found: dict[str, Any] = {"unshared_weights": len(observed.unshared_weights)}
    numerics = observed.numerics
    if numerics is None:
        return found
    found["outputs_that_do_not_fit"] = int(bool(numerics.problem))
    found["not_finite"] = int(not numerics.finite)
    inside = [path for path, one in observed.submodule_numerics if one.problem or one.mismatched]
    found["submodules_with_other_values"] = len(inside)
    if inside:
        found["first_submodule_with_other_values"] = inside[0]
    return found


def _calls(observed: Observation, checks: tuple[CheckResult, ...]) -> dict[str, Any]:
    assert observed.reference is not None
    found: dict[str, Any] = {}
    ours, theirs = len(observed.mock.calls), len(observed.reference.calls)
    if ours and theirs:
        found |= {"mock_calls": ours, "reference_calls": theirs}
        found["call_count_differs"] = int(ours != theirs)
    parity = next((check for check in checks if check.name == "call parity"), None)
    if parity is not None and parity.status is Status.FAIL:
        found["arguments_that_differ"] = len(parity.data.get("differences", ()))
        found["first_argument_that_differs"] = parity.details[0] if parity.details else ""
    return found


def _layer(observed: Observation) -> dict[str, Any]:
    """Launches that the reference makes only inside its running layer, or only alone."""
    layer, reference = observed.in_layer, observed.reference
    if layer is None or reference is None:
        return {}
    if not layer.eager_forwards or not reference.eager_forwards:
        return {}
    inside, alone = (Counter(identity_keys(side.eager_forwards[-1])) for side in (layer, reference))
    return {
        "only_inside_layer": (inside - alone).total(),
        "only_outside_layer": (alone - inside).total(),
    }


def _losses(observed: Observation, book: Rulebook) -> dict[str, Any]:
    outside = sum(bool(book.words["outside"].search(reason)) for reason in observed.losses)
    return {"losses": len(observed.losses) - outside, "launched_outside": outside}
