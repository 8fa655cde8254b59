"""What the L2 cache holds when a sample begins: the operator's own data, or somebody else's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import InputError
from harness.measure.blocks import random_orders

CacheKind = Literal["warm", "cold"]
CACHES: tuple[CacheKind, ...] = ("warm", "cold")

TIMES_L2 = 2
"""Cold: this many times the L2's size passes between two samples of an instance. Once would leave
lines of it, as the cache does not replace strictly the oldest."""

TRIES = 100
"""Random orders that are drawn before the order of the last block is taken again."""

Footprint = Mapping[int, int]
"""Address -> bytes of every weight of an instance."""


@dataclass(frozen=True)
class CachePlan:
    """How samples find the cache.

    Attributes:
        kind: warm or cold.
        state: the same in words, for the result.
        flush: run before every sample, outside of its events; None where nothing is.
        orders: of the instances in each block.
    """

    kind: CacheKind
    state: str
    flush: Callable[[], object] | None
    orders: Iterator[list[int]]


def warm_cache(instances: int, led_in: bool, seed: int) -> CachePlan:
    """The operator's own data, as far as it fits.

    Args:
        instances: of both sides together.
        led_in: every sample follows an untimed one of the same instance.
        seed: of the orders.
    """
    how = "each sample follows an untimed one" if led_in else "samples of one long call"
    state = f"warm: {how} of the same instance"
    return CachePlan("warm", state, None, random_orders(instances, seed))


def cold_cache(
    footprints: Sequence[Footprint], l2_bytes: int, flush: Callable[[], object], seed: int
) -> CachePlan:
    """Nothing of the operator's: whole instances rotated, or the cache overwritten.

    Rotated where the weights of the other instances alone exceed twice the L2, whichever instance
    is next; otherwise ``flush`` runs before every sample. Never a mixture.

    Args:
        footprints: of every instance; weights that two instances share count for neither.
        l2_bytes: size of the cache.
        flush: overwrites a buffer of twice that size.
        seed: of the orders.
    """
    own = own_bytes(footprints)
    needed = TIMES_L2 * l2_bytes
    if all(sum(own) - each > needed for each in own):
        state = (
            f"cold: {len(own)} instances rotated, {sum(own) >> 20} MiB of weights against "
            f"{l2_bytes >> 20} MiB of L2, one call per sample"
        )
        return CachePlan("cold", state, None, spaced_orders(own, needed, seed))
    state = f"cold: {needed >> 20} MiB written before each sample, one call per sample"
    return CachePlan("cold", state, flush, random_orders(len(own), seed))


def own_bytes(footprints: Sequence[Footprint]) -> list[int]:
    """Bytes of each instance at addresses that no other instance has."""
    addresses = [address for footprint in footprints for address in footprint]
    shared = {address for address in addresses if addresses.count(address) > 1}
    return [
        sum(size for address, size in footprint.items() if address not in shared)
        for footprint in footprints
    ]


def spaced_orders(own: Sequence[int], needed: int, seed: int) -> Iterator[list[int]]:
    """Random orders in which more than ``needed`` bytes of others pass before an instance returns.

    Args:
        own: bytes of each instance; all but any one of them exceed ``needed``, so that taking the
            last order again is always possible.
        needed: bytes.
        seed: the same seed gives the same orders.
    """
    source = random.Random(seed)
    last = source.sample(range(len(own)), len(own))
    while True:
        yield last
        for _ in range(TRIES):
            drawn = source.sample(range(len(own)), len(own))
            if _spaced(last, drawn, own, needed):
                last = drawn
                break


def _spaced(before: list[int], after: list[int], own: Sequence[int], needed: int) -> bool:
    def passed(instance: int) -> int:
        later = before[before.index(instance) + 1 :]
        return sum(own[at] for at in {*later, *after[: after.index(instance)]})

    return all(passed(instance) > needed for instance in before)


def l2_bytes() -> int:
    """Size of the current CUDA device's L2."""
    import torch

    return int(torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size)


def flusher(size: int) -> Callable[[], object]:
    """Overwrites a buffer of ``TIMES_L2 * size`` bytes on the current CUDA device."""
    import torch

    buffer = torch.empty(TIMES_L2 * size, dtype=torch.uint8, device="cuda")
    return buffer.zero_


def check_cache(kind: str) -> CacheKind:
    """The kind, checked.

    Raises:
        InputError: it is neither warm nor cold.
    """
    for known in CACHES:
        if kind == known:
            return known
    raise InputError(f"unknown cache state {kind!r}", fix=f"use one of {', '.join(CACHES)}")
