"""Outputs of both sides compared, element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.measure.model import Numerics

if TYPE_CHECKING:
    import torch


NOISE_LIMIT = 4.0
"""Spread of the reference, as a multiple of rtol times its root mean square, beyond which its
outputs are too different from each other to compare anything with. On an H200 vLLM's DSA spreads
by 1.3 to 2.6 of it (split-K and atomics)."""

NOISE_FACTOR = 2.0
"""How far beyond the reference's own spread an element may lie: the spread seen in a few repeats
understates what further ones would show."""


def compare_outputs(mock: Any, references: Sequence[Any], where: str) -> Numerics:
    """Compare the mock's output with the reference's.

    An element agrees when ``|mock - reference| <= atol + rtol * |reference|``. rtol is torch's
    default for the dtype (``torch.testing.assert_close``). atol is rtol times the root mean square
    of the reference, since a sum of many terms has a rounding error on the scale of the output as
    a whole, however small one element may be; or twice what the reference differs from itself
    (atomics, split-K), where that is more.

    Args:
        mock: a tensor of any shape; anything else is a problem that is reported.
        references: outputs of one or more calls of the reference; the first is compared with, the
            others show its spread.
        where: device and sizes, for the reader.
    """
    import torch

    reference = references[0]
    if not isinstance(mock, torch.Tensor) or not isinstance(reference, torch.Tensor):
        kinds = f"{type(mock).__name__} and {type(reference).__name__}"
        return _problem(f"outputs are no tensors but {kinds}", where)
    if mock.is_meta or reference.is_meta:
        return _problem("outputs on the meta device hold no values", where)
    if mock.shape != reference.shape:
        return _problem(
            f"output shapes differ: {list(mock.shape)} against {list(reference.shape)}", where
        )
    if mock.dtype != reference.dtype:
        return _problem(f"output dtypes differ: {mock.dtype} against {reference.dtype}", where)
    if not all(bool(torch.isfinite(other).all()) for other in references):
        return _problem("the reference's output is not finite", where)
    noise = max((_apart(other, reference) for other in references[1:]), default=0.0)
    return _compared(mock.detach().to(reference.device), reference.detach(), noise, where)


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest absolute difference; 0.0 for empty tensors."""
    if not other.numel():
        return 0.0
    return float((one.detach().double() - other.detach().double()).abs().max())


def _compared(mock: torch.Tensor, reference: torch.Tensor, noise: float, where: str) -> Numerics:
    import torch

    rtol = _rtol(reference.dtype)
    one, other = mock.double(), reference.double()
    norm = float(other.norm())
    scale = rtol * norm / math.sqrt(max(other.numel(), 1))
    atol = max(scale, NOISE_FACTOR * noise)
    agrees = (one - other).abs() <= atol + rtol * other.abs()
    return Numerics(
        max_abs=_apart(mock, reference),
        rel_l2=float((one - other).norm()) / norm if norm else float(one.norm()),
        bitwise=bool(torch.equal(mock, reference)),
        rtol=rtol,
        atol=atol,
        mismatched=1.0 - float(agrees.double().mean()) if other.numel() else 0.0,
        finite=bool(torch.isfinite(mock).all()),
        elements=other.numel(),
        where=where,
        noise=noise,
        reproducible=noise <= NOISE_LIMIT * scale,
    )


def _rtol(dtype: torch.dtype) -> float:
    import torch

    known = {torch.float16: 1e-3, torch.bfloat16: 1.6e-2, torch.float32: 1.3e-6}
    return known.get(dtype, 1e-7 if dtype.is_floating_point else 0.0)


def _problem(problem: str, where: str) -> Numerics:
    nan = math.nan
    return Numerics(nan, nan, False, 0.0, 0.0, 1.0, False, 0, where, problem=problem)
