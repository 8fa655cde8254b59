"""Sample, and add instances where it is allocations and not noise that keep a question open."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.measure.cache import CacheKind
from harness.measure.instances import Instances
from harness.measure.interleaved import Interleaved
from harness.measure.sequential import FIRST_LOOK_OF_MANY, Sequential

MOST_INSTANCES = 64
"""Per side. Allocations move a RMSNorm of 6.6 us by 0.65 %: the half-width of 64 is 0.23 %."""

FASTEST_GROWTH = 6
"""Times the instances that are there: the first estimate of how much they differ is a rough one."""

AIM = 0.7
"""Share of the distance between ratio and edge that allocations may take of the interval."""

LEAST_AIM = 0.2
"""The same as a share of the tolerance, for ratios next to the edge."""

BUILD_SHARE = 0.5
"""Share of what is left of the time budget that building more instances may take."""

Extend = Callable[[int], object]
"""Makes `Instances` hold that many a side, or fewer, as far as that is possible."""


@dataclass(frozen=True)
class Sampled:
    """What was sampled last, with all instances.

    Attributes:
        run: how.
        rows: milliseconds per call [blocks][instances], in the order of `Instances.all`.
        notes: instances that were added, and blocks of fewer that were left aside.
    """

    run: Interleaved
    rows: list[tuple[float, ...]]
    notes: tuple[str, ...] = ()


def sample_growing(
    made: Instances,
    kind: CacheKind,
    seed: int,
    questions: Sequence[Sequential],
    *,
    budget_s: float,
    rounds: int | None = None,
    extend: Extend | None = None,
) -> Sampled:
    """Sample until every question is decided, adding instances where that is what is missing.

    Args:
        made: the instances, to which ``extend`` adds.
        kind: warm or cold.
        seed: of the orders.
        questions: what is to be decided.
        budget_s: seconds of sampling, building not counted.
        rounds: blocks to take at most; None leaves it to the questions.
        extend: None keeps the number of instances.
    """
    spent, notes = 0.0, list[str]()
    for stage in range(MOST_INSTANCES):
        most = _most(made, budget_s - spent) if extend else len(made.mock)
        for question in questions:
            question.may_grow = most > len(made.mock)
        run, start = Interleaved(made, kind, seed + stage), time.monotonic()
        rows = run.sample(questions, rounds, budget_s, spent)
        spent += time.monotonic() - start
        count = len(made.mock)
        wanted = min(max((wanted_instances(each) for each in questions), default=0), most)
        if extend is None or wanted <= count or spent >= budget_s:
            break
        extend(wanted)
        for question in questions:
            question.restart(may_grow=False)
        aside = f"{len(rows)} blocks of {count} instances a side were left aside: allocations were"
        if len(made.mock) == count:  # sample on with those that are there
            extend = None
            notes.append(f"{aside} the larger part of the interval, but none could be added")
        else:
            grown = f"so {len(made.mock)} a side were timed"
            notes.append(f"{aside} the larger part of the interval, {grown}")
    return Sampled(run, rows, tuple(notes))


def wanted_instances(question: Sequential) -> int:
    """Instances a side with which allocations would leave room for a decision; 0 once decided."""
    look = question.last
    if question.found or look is None or not look.hopeless:
        return 0
    count = look.instances
    margin = abs(question.tolerance - abs(look.estimate.ratio - 1))
    aim = max(AIM * margin, LEAST_AIM * question.tolerance)
    needed = math.ceil(count * (look.estimate.allocation / aim) ** 2)
    return max(2 * count, min(needed, FASTEST_GROWTH * count))


def _most(made: Instances, left_s: float) -> int:
    """Instances a side that can be built and sampled in the time that is left."""
    count = len(made.mock)
    each_s = made.making_s / max(count - 1, 1)
    buildable = count + (int(BUILD_SHARE * left_s / each_s) if each_s else MOST_INSTANCES)
    block_s = 4 * made.sample_ms / 1000  # of one instance a side, each after its lead-in
    samplable = int(left_s / max(block_s * FIRST_LOOK_OF_MANY, 1e-9))
    return min(MOST_INSTANCES, buildable, samplable)
