"""All instances warmed up and sampled together, each sample with the cache in the same state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from harness.measure.blocks import Layout, Sampler, blocks, sample_until
from harness.measure.cache import CacheKind, CachePlan, cold_cache, flusher, l2_bytes, warm_cache
from harness.measure.events import EventSample
from harness.measure.hold import PROBES, Held, spin_rate
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

REPEATED = PROBES + 1
"""Untimed blocks of instances that were added: eager ones learn how long the host takes."""


class Interleaved:
    """The instances of both sides, sampled in randomised blocks.

    Args:
        made: the instances.
        kind: warm or cold.
        seed: of the orders.

    Attributes:
        cache: how samples find the cache.
        notes: how the warm-up went, and what else a reader of the result must know.
    """

    cache: CachePlan
    notes: tuple[str, ...] = ()

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
        self,
        questions: Sequence[Sequential],
        rounds: int | None,
        budget_s: float,
        spent_s: float = 0.0,
    ) -> list[tuple[float, ...]]:
        """Warm up, then take blocks until every question is decided or time is up.

        Args:
            questions: what is to be decided.
            rounds: at most that many blocks; None leaves it to the questions.
            budget_s: seconds of sampling; the warm-up takes at most as many.
            spent_s: of them, before.

        Returns:
            Milliseconds per call [blocks][instances], in the order of `Instances.all`.
        """
        import torch

        samplers = self._samplers()
        warmed = self._warm_up(samplers, budget_s) if spent_s == 0 else self._repeat(samplers)
        self.notes = (warmed, *self._held(samplers))
        taken = blocks(samplers, islice(self.cache.orders, rounds))
        layout = Layout(len(self._made.mock), self._made.floor)
        rows = sample_until(taken, layout, questions, budget_s=budget_s, spent_s=spent_s)
        torch.cuda.synchronize()  # a block may still run whose graphs are about to be freed
        return rows

    def _warm_up(self, samplers: Sequence[Sampler], budget_s: float) -> str:
        calls = self._made.reference[0].calls
        warm = warm_up(
            lambda count: calls * _mean(blocks(samplers, islice(self.cache.orders, count))),
            min_seconds=min(WARM_SECONDS, budget_s),
            max_seconds=min(MOST_WARM_SECONDS, budget_s),
        )
        return f"warm-up of {warm.calls} blocks, {warm.end}"

    def _repeat(self, samplers: Sequence[Sampler]) -> str:
        """The card is warm: it is only that the new instances have not run yet."""
        _mean(blocks(samplers, islice(self.cache.orders, REPEATED)))
        return f"{REPEATED} blocks were not timed after instances were added"

    def _samplers(self) -> list[Sampler]:
        if all(instance.graph for instance in self._made.all):
            return [self._sampler(instance) for instance in self._made.all]
        rate = spin_rate()
        return [Held(each.sample, self._before(each), rate) for each in self._made.all]

    def _held(self, samplers: Sequence[Sampler]) -> list[str]:
        longest = max((each.hold_s for each in samplers if isinstance(each, Held)), default=0.0)
        if not longest:
            return []
        return [
            f"the card is held {1000 * longest:.2f} ms while the host enqueues the eager calls of "
            "a sample, so that their time is the card's and not the host's"
        ]

    def _before(self, instance: Instance) -> Callable[[], object] | None:
        return instance.lead_in if self._led_in else self.cache.flush

    def _sampler(self, instance: Instance) -> Sampler:
        before = self._before(instance)

        def sample() -> EventSample:
            if before:
                before()
            return instance.sample()

        return sample


def _mean(rows: Iterator[tuple[float, ...]]) -> float:
    totals = [sum(row) for row in rows]
    return sum(totals) / len(totals)
