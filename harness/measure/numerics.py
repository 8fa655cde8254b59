"""Outputs of both sides compared, element by element."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from harness.measure.model import Numerics

if TYPE_CHECKING:
    import torch


def compare_outputs(mock: Any, reference: Any, where: str) -> Numerics:
    """Compare two output tensors.

    An element agrees when ``|mock - reference| <= atol + rtol * |reference|``. rtol is torch's
    default for the dtype (``torch.testing.assert_close``); atol is rtol times the root mean
    square of the reference, since a sum of many terms has a rounding error on the scale of the
    output as a whole, however small one element may be.

    Args:
        mock, reference: tensors of any shape; anything else is a problem that is reported.
        where: device and sizes, for the reader.
    """
    import torch

    if not isinstance(mock, torch.Tensor) or not isinstance(reference, torch.Tensor):
        kinds = f"{type(mock).__name__} and {type(reference).__name__}"
        return _problem(f"outputs are no tensors but {kinds}", where)
    if mock.shape != reference.shape:
        return _problem(
            f"output shapes differ: {list(mock.shape)} against {list(reference.shape)}", where
        )
    if mock.dtype != reference.dtype:
        return _problem(f"output dtypes differ: {mock.dtype} against {reference.dtype}", where)
    return _compared(mock.detach(), reference.detach(), where)


def _compared(mock: torch.Tensor, reference: torch.Tensor, where: str) -> Numerics:
    import torch

    rtol = _rtol(reference.dtype)
    bitwise = bool(torch.equal(mock, reference))
    finite = bool(torch.isfinite(mock).all() and torch.isfinite(reference).all())
    one, other = mock.to("cpu", torch.float64), reference.to("cpu", torch.float64)
    norm = float(other.norm())
    atol = rtol * norm / math.sqrt(max(other.numel(), 1))
    apart = (one - other).abs()
    agrees = apart <= atol + rtol * other.abs()
    return Numerics(
        max_abs=float(apart.max()) if apart.numel() else 0.0,
        rel_l2=float(apart.norm()) / norm if norm else float(apart.norm()),
        bitwise=bitwise,
        rtol=rtol,
        atol=atol,
        mismatched=1.0 - float(agrees.double().mean()) if apart.numel() else 0.0,
        finite=finite,
        elements=other.numel(),
        where=where,
    )


def _rtol(dtype: torch.dtype) -> float:
    import torch

    known = {torch.float16: 1e-3, torch.bfloat16: 1.6e-2, torch.float32: 1.3e-6}
    return known.get(dtype, 1e-7 if dtype.is_floating_point else 0.0)


def _problem(problem: str, where: str) -> Numerics:
    nan = math.nan
    return Numerics(nan, nan, False, 0.0, 0.0, 1.0, False, 0, where, problem)
