"""One pair of equal or planted operators, decided at two tolerances and the collectors' way."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from statistics import mean
from typing import Any

from benchmarks.decisions_operators import Operator, Source
from benchmarks.decisions_plant import Planted, Spin, calibrated, calls_that_plant, planted
from harness.measure.events import sample_eager, time_replays
from harness.measure.graph import capture
from harness.measure.growing import sample_growing
from harness.measure.instance import Instance
from harness.measure.instances import Instances
from harness.measure.paired import INSTANCES
from harness.measure.sequential import Sequential
from ops.sides import Side

TOLERANCES = (0.01, 0.005)
PLANTED = (0.0, 0.005, 0.01, 0.015, 0.02)
BUDGET_S = 10.0
LONG_BUDGET_S = 20.0

Build = Callable[[str, Side], Planted]
"""An instance of a side, as mock or reference."""

COLLECTOR_WARMUPS, COLLECTOR_RUNS = 3, 6
"""Defaults of ``benchmark_with_power`` in the collectors."""


@dataclass(frozen=True)
class Condition:
    """What a pair is.

    Attributes:
        operator: of `benchmarks.decisions_operators.OPERATORS`.
        mode: graph or eager.
        planted: share by which the mock takes longer.
    """

    operator: Operator
    mode: str
    planted: float

    @property
    def questions(self) -> list[Sequential]:
        """A question per tolerance but the planted one: on the edge no answer is right."""
        return [Sequential(each) for each in TOLERANCES if each != self.planted]


class Bench:
    """Sources of operators and their calibrations, kept between pairs."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._spins: dict[tuple[str, str, float], Spin] = {}
        self._graphs: dict[int, Planted] = {}

    def decide(self, condition: Condition, seed: int) -> dict[str, Any]:
        """Decide one pair both ways; plain JSON values."""
        operator, source = condition.operator, random.Random(seed)
        if operator.name not in self._sources:
            self._sources[operator.name] = operator.make()
        supply = self._sources[operator.name].supply(source)
        mock, reference = next(supply), next(supply)
        with ExitStack() as closing:
            spin = self._spin(condition, mock)
            start = time.monotonic()
            made = Instances([], [])
            build = partial(self._build, condition, spin, closing)
            _extend(made, build, chain([mock, reference], supply), INSTANCES)
            made.sample_ms = _sample_ms(made.reference[0])
            questions = condition.questions
            budget = LONG_BUDGET_S if operator.long else BUDGET_S
            extend = partial(_extend, made, build, supply)
            sample_growing(made, "warm", seed, questions, budget_s=budget, extend=extend)
            overhead = time.monotonic() - start - max(each.seconds for each in questions)
        added = spin.share if spin else _share(condition)
        collectors = collectors_ratio(mock, reference, condition.mode)
        return {
            "operator": operator.name,
            "mode": condition.mode,
            "planted": condition.planted,
            "added": added,
            "decisions": [_said(each, overhead) for each in questions],
            "collectors_ratio": collectors * (1 + added),
        }

    def _spin(self, condition: Condition, side: Side) -> Spin | None:
        """The spin kernel of a condition, calibrated once per process; None without one."""
        operator = condition.operator
        if operator.by_calls or not condition.planted:
            return None
        key = (operator.name, condition.mode, condition.planted)
        if key not in self._spins:
            with ExitStack() as closing:
                instance = self._instance("mock", condition, side, closing, plant=False)
                self._spins[key] = calibrated(instance, condition.planted)
        return self._spins[key]

    def _build(
        self, condition: Condition, spin: Spin | None, closing: ExitStack, label: str, side: Side
    ) -> Planted:
        """A mock, which takes longer as the condition says, or a reference."""
        is_mock = label == "mock"
        made = self._instance(label, condition, side, closing, plant=is_mock)
        return replace(made, spin=spin.cycles) if spin and is_mock else made

    def _instance(
        self, label: str, condition: Condition, side: Side, closing: ExitStack, *, plant: bool
    ) -> Planted:
        """An instance of a side; graphs of sides that come again are kept."""
        operator = condition.operator
        calls, more = _calls(condition)
        more = more if plant else 0
        if condition.mode == "eager":
            return planted(label, side, calls, more=more, graph=False)
        if self._sources[operator.name].lasting:
            if id(side) not in self._graphs:
                self._graphs[id(side)] = planted(label, side, calls)
            return replace(self._graphs[id(side)], label=label)
        made = planted(label, side, calls, more=more)
        assert made.graph is not None
        closing.callback(made.graph.close)
        if made.lead:
            closing.callback(made.lead.close)
        return made


def _calls(condition: Condition) -> tuple[int, int]:
    """Calls that are counted in a sample, and calls more that plant the ratio."""
    operator = condition.operator
    if not operator.by_calls:
        return operator.calls, 0
    return calls_that_plant(condition.planted, operator.calls)


def _share(condition: Condition) -> float:
    calls, more = _calls(condition)
    return more / calls


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


def _said(question: Sequential, overhead: float) -> dict[str, Any]:
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
        "seconds": question.seconds + overhead,
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
