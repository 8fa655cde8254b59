"""Randomised blocks: one sample of every instance, in an order of its own, block after block."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from harness.measure.estimate import FEWEST_BLOCKS
from harness.measure.sequential import Sequential

MOST_BLOCKS = 4000
"""Noise that these do not average out is not worth more samples in the evidence."""


class Sample(Protocol):
    """A sample on its way, such as `harness.measure.events.EventSample`."""

    def ms(self) -> float:
        """Milliseconds per call; waits for it."""
        ...


Sampler = Callable[[], Sample]
"""Enqueues a sample without waiting for it."""


Floor = tuple[Sequence[int], Sequence[int]]
"""Samplers of two instances, or groups of instances, of the reference."""


@dataclass(frozen=True)
class Layout:
    """Which sampler stands for what.

    Attributes:
        instances: per side; samplers 0 .. instances - 1 are the mock's, the next the reference's.
        floor: the samplers of the two sides of A/A, None without.
    """

    instances: int
    floor: Floor | None = None


def random_orders(samplers: int, seed: int) -> Iterator[list[int]]:
    """Permutations of the samplers without end, each independent of the one before."""
    source = random.Random(seed)
    while True:
        yield source.sample(range(samplers), samplers)


def blocks(samplers: Sequence[Sampler], orders: Iterator[list[int]]) -> Iterator[tuple[float, ...]]:
    """Times of one block after the other, in milliseconds per call, by sampler.

    A block is read once the next one is enqueued, so that the GPU does not wait for the host.
    """
    waiting: dict[int, Sample] | None = None
    for order in orders:
        enqueued = {at: samplers[at]() for at in order}
        if waiting is not None:
            yield _read(waiting)
        waiting = enqueued
    if waiting is not None:
        yield _read(waiting)


def _read(samples: dict[int, Sample]) -> tuple[float, ...]:
    return tuple(samples[at].ms() for at in range(len(samples)))


def sample_until(
    taken: Iterator[tuple[float, ...]],
    layout: Layout,
    questions: Sequence[Sequential],
    *,
    budget_s: float,
    spent_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> list[tuple[float, ...]]:
    """Take blocks until every question is decided, time is up, or the blocks end.

    What is sampled when time is up is looked at once more. At least 3 blocks are taken.

    Args:
        taken: times by sampler, as `blocks` gives them.
        layout: which sampler stands for what.
        questions: each keeps its last look, and in ``seconds`` when that was.
        budget_s: seconds, of which ``spent_s`` are gone.
        spent_s: seconds of sampling before, by fewer instances.
        clock: returns seconds.

    Returns:
        All blocks [blocks][samplers].
    """
    start, rows = clock() - spent_s, list[tuple[float, ...]]()
    with without_garbage_collection():
        for row in taken:
            rows.append(row)
            late = clock() - start >= budget_s and len(rows) >= FEWEST_BLOCKS
            for question in questions:
                if question.due(len(rows)):
                    _look(question, rows, layout, clock() - start)
            if late or len(rows) >= MOST_BLOCKS or all(each.decided for each in questions):
                break
    for question in questions:
        if not question.decided and question.seen < len(rows):
            _look(question, rows, layout, clock() - start)
    return rows


def _look(
    question: Sequential, rows: Sequence[tuple[float, ...]], layout: Layout, seconds: float
) -> None:
    import numpy as np

    times = np.asarray(rows)
    mock = times[:, : layout.instances]
    reference = times[:, layout.instances : 2 * layout.instances]
    floor = None
    if layout.floor is not None:
        one, other = layout.floor
        floor = (times[:, list(other)], times[:, list(one)])
    question.look(mock, reference, floor)
    question.seconds = seconds


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Python's collector would stop the host in the middle of a sample."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
