"""The call of a module, field by field, and what two calls differ in.

Values are in test_call_values.py, containers and names in test_call_fields.py, the check in
test_call_check.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pydantic
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from harness.align.checks.call_parity import differences
from harness.record.calls import METADATA, ModuleCall, record_calls
from harness.record.described import CLASS, MOST_ITEMS, TensorFacts, describe


@dataclass
class Metadata:
    """As attention metadata: scalars, tensors, another object."""

    max_seq_len: int = 4096
    seq_lens: torch.Tensor = field(default_factory=lambda: torch.tensor([4096, 4096]))
    block_table: torch.Tensor = field(default_factory=lambda: torch.arange(8).view(2, 4))
    prefill: Any = None


class Settings(pydantic.BaseModel):
    """A pydantic model."""

    causal: bool = True
    scale: float = 0.1


class Plain:
    """An object with a dictionary and one with slots inside."""

    def __init__(self) -> None:
        self.inner = Slotted()


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("width",)

    def __init__(self) -> None:
        self.width = 64


class Attention(torch.nn.Module):
    """Takes what an attention takes."""

    def forward(self, positions, hidden_states, scale=1.0, **others):
        return hidden_states


def call(*args: Any, metadata: Any = None, **kwargs: Any) -> ModuleCall:
    module = Attention()
    with record_calls(module, lambda: {} if metadata is None else {"0": metadata}) as calls:
        module(*args, **kwargs)
    return calls[0]


POSITIONS = torch.arange(4)
STATES = torch.ones(4, 8, dtype=torch.bfloat16)


def lines(mock: ModuleCall, reference: ModuleCall) -> list[str]:
    return [str(each) for each in differences(mock, reference)]


def test_dataclasses_pydantic_models_and_plain_objects_are_described_field_by_field():
    assert describe(Settings()) == {CLASS: "Settings", "causal": True, "scale": 0.1}
    assert describe(Plain()) == {CLASS: "Plain", "inner": {CLASS: "Slotted", "width": 64}}
    found = describe(Metadata())
    assert (found["max_seq_len"], found["prefill"]) == (4096, None)
    assert found["seq_lens"].most == 4096


def test_an_object_that_holds_itself_is_cut_where_it_begins_again():
    one = Metadata()
    one.prefill = {"back": one}
    assert describe({"m": one})["m"]["prefill"]["back"] == "<the same as m>"


def test_depth_and_length_are_limited_and_what_is_left_out_is_said():
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    assert "list" in str(describe(deep))
    assert describe(list(range(MOST_ITEMS + 5)))[-1].count == 5


SCALARS = st.integers() | st.text() | st.none() | st.floats(allow_nan=False)
NESTED = st.recursive(SCALARS, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20)


@given(NESTED)
def test_anything_is_described_and_equal_to_itself(value):
    whole = ModuleCall("m", {"x": describe(value)})
    assert differences(whole, whole) == []


def test_no_tensor_is_copied_by_describing_it():
    class Seen(TorchDispatchMode):
        calls: list[str]

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls.append(str(func))
            return func(*args, **(kwargs or {}))

    seen = Seen()
    seen.calls = []
    large = torch.zeros(1 << 20)
    with seen:
        facts = describe(large)
    assert facts.most == 0.0
    assert {name.split(".")[1] for name in seen.calls} <= {
        "aminmax", "_local_scalar_dense", "detach", "unbind", "item", "stack",
    }  # fmt: skip


def test_alignment_and_strides_of_a_view_are_those_that_a_kernel_meets():
    facts = describe(torch.zeros(64, dtype=torch.bfloat16)[1::2])
    assert (facts.alignment, facts.contiguous, facts.stride) == (2, False, (2,))


def test_an_argument_by_position_is_the_same_as_by_name_and_as_its_default():
    one = call(POSITIONS, STATES)
    other = call(hidden_states=STATES, positions=POSITIONS, scale=1.0)
    assert lines(one, other) == []


def test_an_argument_that_only_the_model_gives_is_named():
    assert lines(call(POSITIONS, STATES), call(POSITIONS, STATES, use_cache=True)) == [
        "use_cache: not given in the mock (True)"
    ]


def test_positions_of_another_dtype_and_off_by_one_are_one_line_each():
    assert lines(call(POSITIONS.int(), STATES), call(POSITIONS, STATES)) == [
        "positions: dtype int32 against int64"
    ]
    assert lines(call(POSITIONS + 1, STATES), call(POSITIONS, STATES)) == [
        "positions: values 1 to 4 against 0 to 3"
    ]


def test_a_type_that_differs_is_told_from_a_value():
    (found,) = differences(call(POSITIONS, STATES, scale=1), call(POSITIONS, STATES, scale="1"))
    assert (found.path, found.kind) == ("scale", "type")


def test_metadata_is_compared_field_by_field_and_its_class_too():
    one, other = Metadata(max_seq_len=4095), Metadata()
    found = lines(call(POSITIONS, STATES, metadata=one), call(POSITIONS, STATES, metadata=other))
    assert found == [f"{METADATA}.0.max_seq_len: value 4095 against 4096"]
    (line,) = lines(call(1, STATES, metadata=Plain()), call(1, STATES, metadata=Slotted()))[:1]
    assert "Plain" in line


def test_where_each_side_keeps_its_cache_is_no_difference_but_how_wide_the_table_is_is():
    moved = Metadata(block_table=torch.arange(8).view(2, 4) + 7)
    wide = Metadata(block_table=torch.zeros(2, 5, dtype=torch.int64))
    usual = call(POSITIONS, STATES, metadata=Metadata())
    assert lines(call(POSITIONS, STATES, metadata=moved), usual) == []
    assert "shape [2, 5] against [2, 4]" in lines(call(POSITIONS, STATES, metadata=wide), usual)[0]


def test_floats_may_differ_by_what_kernels_differ_from_themselves():
    near, far = STATES * 1.01, STATES * 2
    assert lines(call(POSITIONS, near), call(POSITIONS, STATES)) == []
    assert "values" in lines(call(POSITIONS, far), call(POSITIONS, STATES))[0]


@pytest.mark.parametrize("phase", ["mock", "reference"])
def test_the_running_model_and_the_mock_of_transformers_are_called_alike(meta_sides, phase):
    side = getattr(meta_sides, phase)
    with record_calls(side.module) as calls, side.context():
        side.reset()
        side.call()
    side.reset()
    assert calls[0].arguments["use_cache"] is True
    assert isinstance(calls[0].arguments["hidden_states"], TensorFacts)
