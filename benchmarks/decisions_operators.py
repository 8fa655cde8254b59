"""Equal operators to decide about: synthetic ones made afresh, DSA layers from a small pool."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ops.case import Case
from ops.registry import adapter, operator
from ops.sides import Side, Sides

MIB = 1 << 20
MOST_PADDING_MIB = 48
"""Random padding before an instance, so that no two lie at the same distance."""


@dataclass(frozen=True)
class Operator:
    """An operator that is timed.

    Attributes:
        name: as in the result.
        title: kind and size, for people.
        calls: in one sample.
        long: one of about 15 ms, judged by itself.
        pooled: False for an operator that is shown by itself and belongs to no goal.
        make: draws a number of equal sides.
    """

    name: str
    title: str
    calls: int
    make: Callable[[], Source]
    long: bool = False
    pooled: bool = True

    @property
    def rarely_eager(self) -> bool:
        """Whether its calls are so short that eager samples are mostly host time."""
        return self.calls >= 100


class Source:
    """Equal sides to draw from.

    Attributes:
        lasting: the same sides come again, so that their graphs are worth keeping.
    """

    lasting = False

    def supply(self, source: random.Random) -> Iterator[Side]:
        """Sides of one operator, no two in the same memory, as many as there can be."""
        raise NotImplementedError


Make = Callable[[Sequence[Any]], Callable[[], Any]]


@dataclass
class Synthetic(Source):
    """An operator on tensors; each side gets copies of its own.

    Args:
        tensors: made once: every side computes on the same values, which set the power drawn.
        make: the call, given copies of them.
    """

    tensors: Sequence[Any]
    make: Make

    def supply(self, source: random.Random) -> Iterator[Side]:
        """See `Source.supply`."""
        while True:
            yield self._side(source)

    def _side(self, source: random.Random) -> Side:
        import torch

        size = source.randint(1, MOST_PADDING_MIB) * MIB
        padding = torch.empty(size, dtype=torch.uint8, device="cuda")
        # the call holds the list, and with it the padding, for as long as the side is used
        call = self.make([*(tensor.clone() for tensor in self.tensors), padding])
        return Side("synthetic", call=call, context=torch.inference_mode)


@dataclass
class Pool(Source):
    """Sides of an adapter, built once; a mock and a reference are the same operator here.

    Args:
        case: what to build.
        builds: how often; each gives two sides.
    """

    case: Case
    builds: int
    sides: list[Side] = field(default_factory=list)
    lasting = True

    def supply(self, source: random.Random) -> Iterator[Side]:
        """See `Source.supply`."""
        if not self.sides:
            self._build()
        yield from source.sample(self.sides, len(self.sides))

    def _build(self) -> None:
        first = adapter(self.case.framework).build(operator(self.case.op), self.case, "cuda")
        assert first.another is not None
        built: list[Sides] = [first, *(first.another() for _ in range(self.builds - 1))]
        self.sides = [side for each in built for side in (each.mock, each.reference)]


def _bf16(*shape: int) -> Any:
    import torch

    return torch.randn(shape, device="cuda", dtype=torch.bfloat16)


def _add() -> Source:
    import torch

    def make(t: Sequence[Any]) -> Callable[[], Any]:
        return lambda: torch.add(t[0], t[1], out=t[2])

    return Synthetic([_bf16(5 * MIB) for _ in range(3)], make)


def _rmsnorm() -> Source:
    import torch

    def make(t: Sequence[Any]) -> Callable[[], Any]:
        return lambda: torch.nn.functional.rms_norm(t[0], (7168,), t[1], 1e-6)

    return Synthetic([_bf16(8, 7168), _bf16(7168)], make)


def _gemm(m: int, k: int, n: int) -> Callable[[], Source]:
    def source() -> Source:
        import torch

        def make(t: Sequence[Any]) -> Callable[[], Any]:
            return lambda: torch.mm(t[0], t[1], out=t[2])

        return Synthetic([_bf16(m, k), _bf16(k, n) / 64, _bf16(m, n)], make)

    return source


def _dsa(tokens: int, builds: int) -> Callable[[], Source]:
    case = Case("dsa", "context", 8, 1, tokens, tokens, framework="transformers")
    return lambda: Pool(case, builds)


OPERATORS = {
    each.name: each
    for each in (
        Operator("rmsnorm", "RMSNorm 8x7168", 100, _rmsnorm),
        Operator("gemm_8us", "GEMM 128x2048x2048", 100, _gemm(128, 2048, 2048)),
        Operator("gemm_43us", "GEMM 1024x7168x2112", 24, _gemm(1024, 7168, 2112)),
        Operator("gemm_300us", "GEMM 4096x7168x3584", 4, _gemm(4096, 7168, 3584)),
        Operator("gemm_1400us", "GEMM 8192x7168x8192", 1, _gemm(8192, 7168, 8192)),
        Operator("dsa_512", "DSA of transformers, 512 tokens, tp 8", 2, _dsa(512, 3)),
        Operator("dsa_4096", "DSA of transformers, 4096 tokens, tp 8", 1, _dsa(4096, 2), long=True),
        Operator("add", "addition of 2 x 10 MiB, half of the L2", 100, _add, pooled=False),
    )
}
"""Cheapest first."""

SYNTHETIC = tuple(name for name, each in OPERATORS.items() if each.pooled and "dsa" not in name)
