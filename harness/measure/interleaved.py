"""All instances warmed up and sampled together, each sample with the cache in the same state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from harness.measure.blocks import Layout, Sampler, blocks, sample_until
from harness.measure.cache import CacheKind, CachePlan, cold_cache, flusher, l2_bytes, warm_cache
from harness.measure.events import EventSample
from harness.measure.instance import Instance
from harness.measure.instances import Instances
from harness.measure.sequential import Sequential
from harness.measure.warmup import warm_up

LEAD_IN_BELOW_MS = 5.0
"""Samples shorter than this follow an untimed one. Filling the L2 takes about 10 us, which is less
than 0.2 % of a longer one."""

WARM_SECONDS = 0.05
"""Shortest warm-up: clocks rise within tens of milliseconds of load."""

MOST_WARM_SECONDS = 3.0


class Interleaved:
    """The instances of both sides, sampled in randomised blocks.

    Args:
        made: the instances.
        kind: warm or cold.
        seed: of the orders.

    Attributes:
        cache: how samples find the cache.
        warmed: how the warm-up went, in words.
    """

    cache: CachePlan
    warmed: str = ""

    def __init__(self, made: Instances, kind: CacheKind, seed: int) -> None:
        self._made = made
        self._led_in = kind == "warm" and made.sample_ms < LEAD_IN_BELOW_MS
        if kind == "warm":
            self.cache = warm_cache(len(made.all), self._led_in, seed)
        else:
            size = l2_bytes()
            footprints = [instance.footprint for instance in made.all]
            self.cache = cold_cache(footprints, size, flusher(size), seed)

    def sample(
        self, questions: Sequence[Sequential], rounds: int | None, budget_s: float
    ) -> list[tuple[float, ...]]:
        """Warm up, then take blocks until every question is decided or time is up.

        Args:
            questions: what is to be decided.
            rounds: at most that many blocks; None leaves it to the questions.
            budget_s: seconds of sampling; the warm-up takes at most as many.

        Returns:
            Milliseconds per call [blocks][instances], in the order of `Instances.all`.
        """
        import torch

        samplers = [self._sampler(instance) for instance in self._made.all]
        warm = warm_up(
            lambda count: _mean(blocks(samplers, islice(self.cache.orders, count))),
            min_seconds=min(WARM_SECONDS, budget_s),
            max_seconds=min(MOST_WARM_SECONDS, budget_s),
        )
        self.warmed = f"warm-up of {warm.calls} blocks, {warm.end}"
        taken = blocks(samplers, islice(self.cache.orders, rounds))
        layout = Layout(len(self._made.mock), self._made.floor)
        rows = sample_until(taken, layout, questions, budget_s=budget_s)
        torch.cuda.synchronize()  # a block may still run whose graphs are about to be freed
        return rows

    def _sampler(self, instance: Instance) -> Sampler:
        before = instance.lead_in if self._led_in else self.cache.flush

        def sample() -> EventSample:
            if before:
                before()
            return instance.sample()

        return sample


def _mean(rows: Iterator[tuple[float, ...]]) -> float:
    totals = [sum(row) for row in rows]
    return sum(totals) / len(totals)
