"""Outputs of one submodule on both sides: floating ones within a tolerance, others exactly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.measure.model import Numerics
from harness.measure.numerics import NOISE_FACTOR, compare_outputs

if TYPE_CHECKING:
    import torch

FLIPS = 0.01
"""Share of integers that may differ where the reference is not bitwise repeatable, without that
being a difference: near-ties of a top-k fall either way, and a few calls need not show one. On
anything beyond that the mock selects otherwise than the reference."""

SPREAD_LIMIT = 0.25
"""Share of integers in which the reference may differ from itself before nothing can be compared
with it: from there on twice its spread would let half of a wrong selection pass."""


@dataclasses.dataclass(frozen=True)
class Inside(Numerics):
    """Outputs of a submodule compared.

    Of integers ``mismatched`` and ``noise`` are shares of elements, and ``max_abs`` and ``rel_l2``
    are NaN: the distance of two indices says nothing.

    Attributes:
        left_out: why they were not compared; then the figures say nothing.
        how: what a comparison of integers found, as a phrase.
    """

    left_out: str = ""
    how: str = ""


def not_compared(why: str, where: str) -> Inside:
    """Stands for outputs that cannot be compared."""
    return Inside(math.nan, math.nan, False, 0.0, 0.0, 0.0, True, 0, where, left_out=why)


def compare_inside(mock: Any, references: Sequence[Any], where: str, repeatable: bool) -> Inside:
    """Compare one output of a submodule with the reference's.

    Floating outputs are compared as `compare_outputs` does. Integers and truth values have to be
    equal, up to twice what the reference differs from itself; in tensors of two and more dimensions
    the integers of a row (last dimension) count as a set, since a top-k may give them in any order.

    Args:
        mock: a tensor.
        references: of several calls of the reference; the first is compared with, the others show
            its spread.
        where: device and sizes, for the reader.
        repeatable: everything that the reference computes is bitwise the same in each call.
    """
    import torch

    reference = references[0]
    if mock.shape != reference.shape or mock.dtype != reference.dtype:
        return _of(compare_outputs(mock, references[:1], where))
    if any(one.shape != reference.shape for one in references):
        return not_compared("the reference returns other shapes in every call", where)
    if mock.is_meta or reference.is_meta:
        return not_compared("outputs on the meta device hold no values", where)
    if not reference.is_floating_point():
        return _exactly(mock, references, where, repeatable)
    if reference.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        return not_compared(f"no tolerance is known for {reference.dtype}", where)
    if not all(bool(torch.isfinite(one).all()) for one in references):
        return not_compared("the reference's output is not finite", where)
    found = _of(compare_outputs(mock, references, where))
    if not found.reproducible:
        why = f"the reference differs from itself by up to {found.noise:.2e}"
        return dataclasses.replace(found, left_out=why)
    return found


def _of(found: Numerics) -> Inside:
    fields = dataclasses.fields(Numerics)
    return Inside(**{field.name: getattr(found, field.name) for field in fields})


def _exactly(
    mock: torch.Tensor, references: Sequence[torch.Tensor], where: str, repeatable: bool
) -> Inside:
    import torch

    reference = references[0]
    unlike = _unlike(mock.to(reference.device), reference)
    spread = max((_unlike(other, reference) for other in references[1:]), default=0.0)
    in_place = _share(mock.to(reference.device) == reference)
    how = f"{in_place:.2%} of {reference.numel()} integers equal in place"
    if in_place < 1.0 and _rows(reference):
        how += ", every row the same set in another order" * (unlike == 0.0)
        how += f", {1 - unlike:.2%} where rows are taken as sets" * (unlike > 0.0)
    if spread:
        how += f"; the reference differs from itself in {spread:.2%}"
    left_out = ""
    if spread > SPREAD_LIMIT:
        left_out = f"the reference differs from itself in {spread:.2%} of the integers"
    elif NOISE_FACTOR * spread < unlike <= FLIPS and not repeatable:
        left_out = f"{how}; the reference is not bitwise repeatable, so near-ties may fall so"
    return Inside(
        max_abs=math.nan,
        rel_l2=math.nan,
        bitwise=bool(torch.equal(mock.to(reference.device), reference)),
        rtol=0.0,
        atol=0.0,
        mismatched=unlike if unlike > NOISE_FACTOR * spread else 0.0,
        finite=True,
        elements=reference.numel(),
        where=where,
        noise=spread,
        reproducible=spread <= SPREAD_LIMIT,
        left_out=left_out,
        how=how,
    )


def _rows(tensor: torch.Tensor) -> bool:
    """Whether the order within a row may be left out of account."""
    import torch

    return tensor.dim() > 1 and tensor.dtype is not torch.bool


def _share(equal: torch.Tensor) -> float:
    return float(equal.double().mean()) if equal.numel() else 1.0


def _unlike(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of the elements of one that the other has not: in the same row, or in place."""
    import torch

    if not _rows(other) or not other.numel():
        return 1.0 - _share(one == other)
    rows = other.reshape(-1, other.shape[-1])
    values, both = torch.unique(
        torch.cat([one.reshape(rows.shape), rows], 0).long(), return_inverse=True
    )
    number = torch.arange(len(rows), device=rows.device).repeat(2)[:, None]
    keys = number * len(values) + both.reshape(-1, rows.shape[-1])
    mine, theirs = keys[: len(rows)].flatten(), keys[len(rows) :].flatten()
    kinds, which = torch.unique(torch.cat([mine, theirs]), return_inverse=True)
    counts = torch.bincount(which[: len(mine)], minlength=len(kinds))
    others = torch.bincount(which[len(mine) :], minlength=len(kinds))
    return float((counts - others).clamp(min=0).sum()) / other.numel()
