"""What `benchmarks.energy` replays: a GEMM of about 1 ms, DSA of transformers, a copy, pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from harness.measure.graph import capture
from ops.case import Case
from ops.registry import choose_framework, operator
from ops.sides import Side

GEMM_SHAPE = (8192, 7168, 6144)
"""m, k, n in bfloat16: 0.72 TFLOP, about 1 ms on an H200."""

DSA = Case("dsa", "context", 8, 1, 512, 512, framework="transformers")
"""0.6 ms on an H200: a graph of many small kernels, where the GEMM is one that fills the card."""


COPY_BYTES = 1 << 30
"""Read once and written once: about 0.5 ms on an H200."""

PAIRS = (("dsa", "copy"), ("gemm", "dsa"))
"""Whose energy in one window is compared with the sum of each alone. Only the first can add up: the
GEMM alone reaches the power limit, which lowers its clocks and with them its energy per call; next
to DSA it runs at higher clocks."""


def pair_name(pair: tuple[str, str]) -> str:
    """How the pair is called in the figures."""
    return " + ".join(pair)


@dataclass(frozen=True)
class Workload:
    """Something to replay; ``replay`` enqueues one call and does not wait."""

    name: str
    what: str
    replay: Callable[[], None]


@contextmanager
def workloads() -> Iterator[dict[str, Workload]]:
    """``gemm``, ``dsa``, ``copy`` and the pairs, as CUDA graphs; freed when the block ends."""
    with ExitStack() as stack:
        made = {}
        for name, what, side in (_gemm(), _dsa(), _copy()):
            graph = capture(side)
            stack.callback(graph.close)
            made[name] = Workload(name, what, graph.replay)
        for pair in PAIRS:
            first, second = (made[name].replay for name in pair)
            name, what = pair_name(pair), "the two in turn, one call each"
            made[name] = Workload(name, what, partial(_in_turn, first, second))
        yield made


def _in_turn(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


def _copy() -> tuple[str, str, Side]:
    import torch

    source = torch.randint(0, 255, (COPY_BYTES,), device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    side = Side("copy", call=lambda: target.copy_(source))
    return "copy", f"copy of {COPY_BYTES >> 20} MiB on the device, random data", side


def _gemm() -> tuple[str, str, Side]:
    import torch

    m, k, n = GEMM_SHAPE
    left = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
    right = torch.randn(k, n, device="cuda", dtype=torch.bfloat16)
    out = torch.empty(m, n, device="cuda", dtype=torch.bfloat16)
    side = Side("gemm", call=lambda: torch.mm(left, right, out=out))
    return "gemm", f"bfloat16 GEMM, m, k, n = {m}, {k}, {n}, random data", side


def _dsa() -> tuple[str, str, Side]:
    op = operator(DSA.op)
    adapter, _ = choose_framework(op, DSA.framework)
    side = adapter.build(op, DSA, "cuda").reference
    what = f"DSA of {DSA.framework}, {DSA.phase} {DSA.batch_size}x{DSA.kv_len}, tp {DSA.tp}"
    return "dsa", what, side
