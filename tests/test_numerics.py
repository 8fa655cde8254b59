"""Outputs agree within what their dtype and the reference's own spread allow, and no further."""

from __future__ import annotations

import math

import pytest
import torch

from harness.measure.numerics import compare_outputs

REFERENCE = torch.randn(64, 512, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)


def changed(by: float, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """The reference with one element moved by a multiple of the output's scale."""
    other = REFERENCE.clone()
    other[3, 7] += by
    return other.to(dtype)


def test_equal_outputs_are_bitwise_equal():
    found = compare_outputs(REFERENCE.clone(), [REFERENCE], "here")
    assert found.bitwise
    assert (found.mismatched, found.max_abs, found.rel_l2) == (0.0, 0.0, 0.0)


def test_a_rounding_error_on_the_scale_of_the_output_agrees():
    found = compare_outputs(changed(0.01), [REFERENCE], "here")
    assert not found.bitwise
    assert found.mismatched == 0.0


def test_one_wrong_element_is_counted():
    found = compare_outputs(changed(0.5), [REFERENCE], "here")
    assert found.mismatched == pytest.approx(1 / REFERENCE.numel())


def test_what_the_reference_differs_from_itself_widens_the_tolerance():
    noisy = [REFERENCE, changed(0.3)]
    assert compare_outputs(changed(0.5), noisy, "here").mismatched == 0.0
    assert compare_outputs(changed(0.5), noisy, "here").noise == pytest.approx(0.3, abs=0.01)
    assert compare_outputs(changed(1.5), noisy, "here").mismatched > 0.0


@pytest.mark.parametrize(
    ("mock", "said"),
    [
        (REFERENCE[:3], "shapes differ"),
        (REFERENCE.float(), "dtypes differ"),
        ("text", "no tensors"),
    ],
)
def test_outputs_that_cannot_be_compared_say_why(mock, said):
    found = compare_outputs(mock, [REFERENCE], "here")
    assert said in found.problem
    assert math.isnan(found.max_abs)


def test_not_a_number_never_agrees():
    found = compare_outputs(changed(math.nan), [REFERENCE], "here")
    assert not found.finite
    assert found.mismatched > 0.0


def test_a_reference_that_does_not_repeat_itself_is_not_compared_with():
    wild = [REFERENCE, changed(5.0)]
    assert not compare_outputs(torch.zeros_like(REFERENCE), wild, "here").reproducible


def test_a_reference_that_is_not_finite_is_a_problem():
    found = compare_outputs(REFERENCE, [REFERENCE, changed(math.inf)], "here")
    assert "not finite" in found.problem


def test_outputs_without_values_are_a_problem():
    empty = torch.empty(3, device="meta")
    assert "hold no values" in compare_outputs(empty, [empty], "here").problem
