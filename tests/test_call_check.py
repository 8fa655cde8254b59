"""The check of call parity: which calls it compares, and what it says of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from harness.align.checks.call_parity import call_parity
from harness.align.judge import judge
from harness.align.model import Status
from harness.record.calls import MODULE, ModuleCall
from tests.test_call_parity import POSITIONS, STATES, call, lines
from tests.test_checks import observation


def with_calls(mock: Any, reference: Any) -> Any:
    """An observation with one call a side, or several."""
    ours, theirs = (
        (calls,) if isinstance(calls, ModuleCall) else tuple(calls) for calls in (mock, reference)
    )
    observed = observation()
    return replace(
        observed,
        mock=replace(observed.mock, calls=ours),
        reference=replace(observed.reference, calls=theirs),
    )


def test_every_call_is_compared_and_what_each_shows_stands_once():
    same, other = (ModuleCall("Attention", {"scale": scale}) for scale in (1, 2))
    found = call_parity(with_calls([same, other], [same, same]))
    assert (found.status, found.details) == (Status.FAIL, ("call 2, scale: value 2 against 1",))
    assert found.data["differences"][0]["call"] == 2
    assert len(call_parity(with_calls([other] * 3, [same] * 3)).details) == 1
    passed = call_parity(with_calls([same, other], [same, other]))
    assert passed.reason == "2 calls, 2 arguments, 2 fields are the same"


def test_how_often_each_side_is_called_is_in_the_data():
    same = ModuleCall("Attention", {"scale": 1})
    found = call_parity(with_calls([same, same], same))
    assert (found.status, found.data["calls"]) == (Status.FAIL, {"mock": 2, "reference": 1})
    assert found.reason == "called 2 times in the mock, 1 in the reference"


def test_a_module_of_another_class_is_a_difference_unless_both_sides_declare_it():
    one, other = (ModuleCall(name, {"scale": 1}) for name in ("Mock", "Attention"))
    assert lines(one, other) == [f"{MODULE}: class Mock against Attention"]
    assert call_parity(with_calls(one, other)).status is Status.FAIL
    declared = [replace(call, own_fields=(MODULE,)) for call in (one, other)]
    assert call_parity(with_calls(*declared)).status is Status.PASS


def test_a_pass_says_how_many_tensors_were_not_read_in_full():
    packed = call(POSITIONS, STATES.to(torch.float8_e4m3fn))
    found = call_parity(with_calls(packed, packed))
    assert (
        found.reason == "3 arguments, 3 fields are the same; values of 1 tensors not read in full"
    )
    assert found.data["unread"] == {"hidden_states": "values of float8_e4m3fn"}


def test_bookkeeping_that_both_sides_declare_is_left_out_and_counted():
    patterns = ("*.instance_id",)
    one, other = ({"config": {"instance_id": at, "dtype": "bf16"}} for at in (1, 2))
    declared = [ModuleCall("Attention", given, patterns) for given in (one, other)]
    found = call_parity(with_calls(*declared))
    assert (found.status, found.data["own_fields"]) == (Status.PASS, ["config.instance_id"])
    assert found.reason == "1 arguments, 1 fields are the same; 1 of each side's own left out"
    half_declared = with_calls(ModuleCall("Attention", one), declared[1])
    assert call_parity(half_declared).status is Status.FAIL


def test_the_check_passes_fails_and_is_skipped_where_a_side_is_no_module():
    same = call(POSITIONS, STATES)
    assert call_parity(with_calls(same, same)).status is Status.PASS
    other = call_parity(with_calls(call(POSITIONS.int(), STATES), same))
    assert other.status is Status.FAIL
    assert other.data["differences"][0]["kind"] == "dtype"
    assert call_parity(observation()).status is Status.SKIPPED
    assert judge(with_calls(call(POSITIONS.int(), STATES), same)).verdict == "diverged"
