"""Tensors, arrays and numbers of a call: what is told of their values, and when these differ."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.align.calls_diff import differences
from harness.record.calls import ModuleCall
from harness.record.described import describe
from harness.record.tensor_values import MOST_ORDERED


class Size(int):
    """A number with a class of its own."""


class Name(str):
    """A text with a class of its own."""

    __slots__ = ()


class Kind(IntEnum):
    """A number with a name."""

    ONE = 1
    TWO = 2


def lines(mock: Any, reference: Any, name: str = "x") -> list[str]:
    """What two values of one argument differ in."""
    calls = [ModuleCall("Attention", {name: describe(v, name)}) for v in (mock, reference)]
    return [str(each) for each in differences(*calls)]


def test_what_is_no_number_on_both_sides_is_the_same():
    nan = float("nan")
    holed = torch.tensor([1.0, nan])
    assert lines(holed, holed.clone()) == []
    assert lines(nan, float("nan")) == []
    assert lines((1, nan), (1, float("nan"))) == []
    assert lines(nan, 1.0) == ["x: value nan against 1.0"]
    assert lines(holed, torch.ones(2)) == ["x: values nan to nan against 1.0 to 1.0"]


def test_an_infinite_end_of_a_range_does_not_hide_the_other_end():
    one, near, far = (torch.tensor([-math.inf, most]) for most in (1.0, 0.99, 0.5))
    assert lines(near, one) == []
    assert lines(far, one) == ["x: values -inf to 0.5 against -inf to 1.0"]
    assert "values" in lines(torch.tensor([-1e30, 1.0]), one)[0]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.bool, torch.uint16])
def test_whole_numbers_in_another_order_differ(dtype):
    some = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1]).to(dtype)
    assert lines(some, some.clone()) == []
    other = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]).to(dtype)
    (line,) = lines(other, some)
    assert line.startswith("x: order of values 0 to 1 (digest ")


def test_exchanges_that_cancel_each_other_in_a_weighted_sum_still_differ():
    some = torch.tensor([0, 1, 2, 2, 1, 0])
    assert lines(torch.tensor([1, 0, 2, 2, 0, 1]), some) != []


def test_another_order_is_said_beside_another_dtype():
    (line,) = lines(torch.tensor([0, 2, 1], dtype=torch.int32), torch.tensor([0, 1, 2]))
    assert line.startswith("x: dtype, order of values int32, 0 to 2 (digest ")
    zeros = torch.zeros(3, dtype=torch.int8)
    assert lines(zeros, zeros.to(torch.int16)) == ["x: dtype int8 against int16"]


def test_the_digest_is_of_the_values_and_not_of_how_they_lie_in_memory():
    spread = torch.arange(12).view(3, 4).t()
    assert describe(spread).digest == describe(spread.contiguous()).digest
    assert describe(spread.int()).digest == describe(spread).digest


def test_how_a_kernel_spread_its_work_may_stand_in_another_order():
    one, other = torch.tensor([0, 7, 3]), torch.tensor([0, 3, 7])
    assert lines(one, other, "schedule_metadata") == []
    assert lines(one + 1, other, "schedule_metadata") != []


def test_of_large_tensors_the_range_alone_is_read_and_nothing_is_copied():
    class Seen(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.largest = max(self.largest, result.numel())
            return result

    large = torch.zeros(MOST_ORDERED + 1, dtype=torch.int64)
    with Seen() as seen:
        facts = describe(large)
    assert (facts.least, facts.digest, seen.largest <= 2) == (0, "", True)
    assert facts.unread == "order of more than 1,048,576 elements"


def test_the_values_of_one_tensor_are_fetched_from_the_device_in_one_read():
    """On a GPU each conversion of a tensor to Python numbers waits for the device."""
    for some in (torch.arange(9), torch.ones(9), torch.ones(9, dtype=torch.uint8)):
        with (
            patch.object(torch.Tensor, "item", side_effect=AssertionError),
            patch.object(torch.Tensor, "tolist", autospec=True, return_value=[0] * 3) as read,
        ):
            read.side_effect = lambda tensor: [0] * tensor.numel()
            describe(some)
        assert read.call_count == 1


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
def test_bytes_are_numbers_unless_they_are_memory(dtype):
    zeros, nines = torch.zeros(4, dtype=dtype), torch.full((4,), 9, dtype=dtype)
    assert lines(zeros, nines) == ["x: values 0 to 0 against 9 to 9"]
    assert lines(zeros, nines, "kv_cache") == []
    assert lines(zeros, nines[:3], "kv_cache") == ["kv_cache: shape [4] against [3]"]
    assert lines(torch.zeros(1), torch.ones(1), "kv_cache") != []


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_wide_unsigned_numbers_are_read_too(dtype):
    one, other = (torch.tensor(values).to(dtype) for values in ([1, 2, 3], [1, 2, 9]))
    assert lines(one, other) == ["x: values 1 to 3 against 1 to 9"]
    large = describe(torch.zeros(MOST_ORDERED + 1, dtype=torch.int64).to(dtype))
    assert large.least is None
    assert large.unread.startswith("values of uint")


def nested(layout: torch.layout) -> torch.Tensor:
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=layout)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: torch.eye(3).to_sparse(), "float32[3, 3] sparse_coo cpu"),
        (lambda: torch.eye(3).to_sparse_csr(), "float32[3, 3] sparse_csr cpu"),
        (lambda: nested(torch.strided), "float32[2, -1] nested cpu"),
        (lambda: nested(torch.jagged), "float32[2, -1] jagged cpu"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_of_other_layouts_are_described_without_their_values(made, text):
    assert str(describe(made())) == text
    assert describe(made()).unread.startswith("values of a ")
    assert lines(made(), made()) == []
    assert "layout" in lines(made(), torch.eye(3))[0]


def test_a_tensor_that_refuses_to_be_read_is_described_all_the_same():
    class Refusing(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func in (torch.aminmax, torch.Tensor.data_ptr):
                raise NotImplementedError
            return super().__torch_function__(func, types, args, kwargs)

    facts = describe(torch.ones(3).as_subclass(Refusing))
    assert (facts.shape, facts.least, facts.unread) == ((3,), None, "values of a Refusing")


def test_a_device_that_fails_is_no_property_of_the_tensor(monkeypatch):
    def fails(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "aminmax", fails)
    with pytest.raises(torch.OutOfMemoryError):
        describe(torch.ones(3))


def test_arrays_are_compared_as_tensors_are():
    assert lines(np.zeros(3), np.zeros(3)) == []
    assert lines(np.zeros(3), np.ones(3)) == ["x: values 0.0 to 0.0 against 1.0 to 1.0"]
    assert lines(np.zeros(3), np.zeros(4)) == ["x: shape [3] against [4]"]
    assert "order of values" in lines(np.arange(3), np.arange(3)[::-1].copy())[0]
    assert "layout numpy against strided" in lines(np.zeros(3), torch.zeros(3).double())[0]
    assert lines(np.array(["a"]), np.array(["b"])) != []
    assert lines(np.array([object()]), np.array([object()])) == []
    holed = np.array([1.0, np.nan])
    assert lines(holed, holed.copy()) == []


def test_scalars_of_numpy_and_subclasses_of_numbers_and_texts_are_compared_by_value():
    assert lines(np.int64(3), np.int64(4)) == ["x: value np.int64(3) against np.int64(4)"]
    assert lines(np.float32("nan"), np.float32("nan")) == []
    assert lines(Size(1), Size(2)) == ["x: value Size(1) against Size(2)"]
    assert lines(Size(1), Size(1)) == []
    assert lines(Name("a"), Name("b")) == ["x: value Name('a') against Name('b')"]
    assert lines(Kind.ONE, Kind.TWO) == ["x: value Kind.ONE against Kind.TWO"]
    assert lines(slice(0, 3), slice(0, 4)) == ["x.stop: value 3 against 4"]
