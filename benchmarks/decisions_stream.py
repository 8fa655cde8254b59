"""Equal sides drawn, and decided for every planted ratio at two tolerances and the collectors' way.

The planted ratios of a draw share its samples: they are decided as if each were alone, but are not
independent of each other. Decisions about one ratio come from different draws.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from statistics import mean
from typing import Any, cast

from benchmarks.decisions_operators import Operator, Source
from benchmarks.decisions_plant import Stretched, calibrated, stretched
from harness.measure.events import sample_eager, time_replays
from harness.measure.graph import capture
from harness.measure.growing import sample_growing
from harness.measure.instance import Instance
from harness.measure.instances import Instances
from harness.measure.paired import INSTANCES
from harness.measure.sequential import Look, Sequential
from ops.sides import Side

TOLERANCES = (0.01, 0.005)
PLANTED = (0.0, 0.005, 0.01, 0.015, 0.02)
BUDGET_S = 10.0
LONG_BUDGET_S = 20.0

Build = Callable[[str, Side], Stretched]
"""An instance of a side, as mock or reference."""

COLLECTOR_WARMUPS, COLLECTOR_RUNS = 3, 6
"""Defaults of ``benchmark_with_power`` in the collectors."""


@dataclass(frozen=True)
class Condition:
    """What is drawn.

    Attributes:
        operator: of `benchmarks.decisions_operators.OPERATORS`.
        mode: graph or eager.
    """

    operator: Operator
    mode: str


class Question(Sequential):
    """Whether a mock that takes a planted share longer is beyond the tolerance.

    Args:
        tolerance: of the ratio.
        planted: position of the share in `PLANTED`.
        mocks: the instances whose samples are stretched.

    Attributes:
        wall_s: seconds from its beginning, building included, to the latest look.
    """

    def __init__(self, tolerance: float, planted: int, mocks: Sequence[Instance]) -> None:
        super().__init__(tolerance)
        self.planted, self._mocks = planted, mocks
        self._start = time.monotonic()
        self.wall_s = 0.0

    def look(
        self, mock: Any, reference: object, floor: tuple[object, object] | None = None
    ) -> Look:
        """As `Sequential.look`, at mocks with their spin kernels."""
        found = super().look(mock + self.added_ms(len(mock)), reference, floor)
        self.wall_s = time.monotonic() - self._start
        return found

    def added_ms(self, blocks: int) -> Any:
        """Milliseconds per call of the spin kernels [blocks, instances]; 0 for the first share."""
        import numpy as np

        if self.planted == 0:
            return 0.0
        taken = [cast(Stretched, each).stretches(blocks) for each in self._mocks]
        return np.stack([each[:, self.planted - 1] for each in taken], axis=1)


class Bench:
    """Sources of operators and their calibrations, kept between draws."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._cycles: dict[Condition, tuple[int, ...]] = {}
        self._graphs: dict[int, Stretched] = {}

    def decide(self, condition: Condition, seed: int) -> list[dict[str, Any]]:
        """Draw equal sides and decide each planted ratio both ways; plain JSON values."""
        operator, source = condition.operator, random.Random(seed)
        if operator.name not in self._sources:
            self._sources[operator.name] = operator.make()
        supply = self._sources[operator.name].supply(source)
        mock, reference = next(supply), next(supply)
        with ExitStack() as closing:
            self._calibrate(condition, mock)
            made = Instances([], [])
            questions = _questions(made)
            build = partial(self._build, condition, closing)
            _extend(made, build, chain([mock, reference], supply), INSTANCES)
            made.sample_ms = _sample_ms(made.reference[0])
            budget = LONG_BUDGET_S if operator.long else BUDGET_S
            extend = partial(_extend, made, build, supply)
            sampled = sample_growing(made, "warm", seed, questions, budget_s=budget, extend=extend)
            records = _records(condition, questions, sampled.rows)
        ratio = collectors_ratio(mock, reference, condition.mode)
        return [{**each, "collectors_ratio": ratio * (1 + each["added"])} for each in records]

    def _calibrate(self, condition: Condition, side: Side) -> None:
        """Cycles of the spin kernels, once per process."""
        if condition not in self._cycles:
            with ExitStack() as closing:
                instance = self._instance("mock", condition, side, closing)
                self._cycles[condition] = calibrated(instance, PLANTED[1:])

    def _build(self, condition: Condition, closing: ExitStack, label: str, side: Side) -> Stretched:
        """A mock, with spin kernels, or a reference."""
        made = self._instance(label, condition, side, closing)
        if label == "reference":
            return made
        return replace(made, cycles=self._cycles[condition], log=[])

    def _instance(
        self, label: str, condition: Condition, side: Side, closing: ExitStack
    ) -> Stretched:
        """An instance of a side; graphs of sides that come again are kept."""
        operator = condition.operator
        if condition.mode == "eager":
            return stretched(label, side, operator.calls, graph=False)
        if self._sources[operator.name].lasting:
            if id(side) not in self._graphs:
                self._graphs[id(side)] = stretched(label, side, operator.calls)
            return replace(self._graphs[id(side)], label=label)
        made = stretched(label, side, operator.calls)
        for graph in (made.graph, made.lead):
            if graph:
                closing.callback(graph.close)
        return made


def _questions(made: Instances) -> list[Question]:
    """One per planted ratio and tolerance, but where they are equal: there no answer is right."""
    return [
        Question(tolerance, at, made.mock)
        for at, planted in enumerate(PLANTED)
        for tolerance in TOLERANCES
        if tolerance != planted
    ]


def _records(
    condition: Condition,
    questions: Sequence[Question],
    rows: Sequence[tuple[float, ...]],
) -> list[dict[str, Any]]:
    """A record per planted ratio."""
    import numpy as np

    records = []
    for at, planted in enumerate(PLANTED):
        asked = [each for each in questions if each.planted == at]
        added = np.median(asked[0].added_ms(len(rows))) / np.median(np.asarray(rows))
        records.append(
            {
                "operator": condition.operator.name,
                "mode": condition.mode,
                "planted": planted,
                "added": float(added),
                "decisions": [_said(each) for each in asked],
            }
        )
    return records


def _sample_ms(reference: Instance) -> float:
    """How long a sample lasts."""
    reference.lead_in()
    return reference.sample().ms() * reference.calls


def _extend(made: Instances, build: Build, supply: Iterator[Side], wanted: int) -> None:
    """Instances up to ``wanted`` a side, while the supply lasts."""
    start = time.monotonic()
    while len(made.mock) < wanted:
        pair = tuple(islice(supply, 2))
        if len(pair) < 2:
            break
        made.mock.append(build("mock", pair[0]))
        made.reference.append(build("reference", pair[1]))
    made.making_s += time.monotonic() - start


def _said(question: Question) -> dict[str, Any]:
    look = question.last
    assert look is not None
    return {
        "tolerance": question.tolerance,
        "decision": str(look.decision),
        "because": look.reason,
        "ratio": look.estimate.ratio,
        "low": look.interval[0],
        "high": look.interval[1],
        "floor": look.floor.ratio if look.floor else None,
        "blocks": look.blocks,
        "instances": look.instances,
        "looks": look.number,
        "seconds": question.wall_s,
    }


def collectors_ratio(mock: Side, reference: Side, mode: str) -> float:
    """Mock / reference as the collectors would find it: one side after the other.

    3 warm-ups, then the mean of 6 runs, each a replay of a graph of one call or an eager call.
    """
    return _collected_ms(mock, mode) / _collected_ms(reference, mode)


def _collected_ms(side: Side, mode: str) -> float:
    import torch

    if mode == "eager":
        for _ in range(COLLECTOR_WARMUPS):
            side.reset()
            with side.context():
                side.call()
        torch.cuda.synchronize()
        return sample_eager(side, COLLECTOR_RUNS).ms()
    graph = capture(side, topology=False)
    try:
        for _ in range(COLLECTOR_WARMUPS):
            graph.replay()
        torch.cuda.synchronize()
        return mean(time_replays(graph.replay, COLLECTOR_RUNS))
    finally:
        graph.close()
