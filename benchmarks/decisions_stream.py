"""One pair of equal or planted operators, decided at two tolerances and the collectors' way."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from benchmarks.decisions_operators import Operator, Source
from benchmarks.decisions_plant import Planted, Spin, calibrated, planted
from harness.measure.events import sample_eager, time_replays
from harness.measure.graph import capture
from harness.measure.instances import Instances
from harness.measure.interleaved import Interleaved
from harness.measure.sequential import Sequential
from ops.sides import Side

TOLERANCES = (0.01, 0.005)
PLANTED = (0.0, 0.005, 0.01, 0.015, 0.02)
BUDGET_S = 5.0
LONG_BUDGET_S = 20.0

COLLECTOR_WARMUPS, COLLECTOR_RUNS = 3, 6
"""Defaults of ``benchmark_with_power`` in the collectors."""


@dataclass(frozen=True)
class Condition:
    """What a pair is.

    Attributes:
        operator: of `benchmarks.decisions_operators.OPERATORS`.
        mode: graph or eager.
        instances: per side.
        planted: share by which the mock takes longer.
    """

    operator: Operator
    mode: str
    instances: int
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
        count = condition.instances
        references = max(count, 2)  # A/A needs a second one
        sides = self._sources[operator.name].draw(count + references, source)
        with ExitStack() as closing:
            spin = self._spin(condition, sides[0])
            start = time.monotonic()
            made = self._instances(condition, sides, spin, closing)
            questions = condition.questions
            run = Interleaved(made, "warm", seed)
            budget = LONG_BUDGET_S if operator.long else BUDGET_S
            run.sample(questions, None, budget)
            overhead = time.monotonic() - start - max(each.seconds for each in questions)
        added = spin.share if spin else condition.planted
        collectors = collectors_ratio(sides[0], sides[count], condition.mode)
        return {
            "operator": operator.name,
            "mode": condition.mode,
            "instances": count,
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
                instance = self._instance("mock", condition, side, closing)
                self._spins[key] = calibrated(instance, condition.planted)
        return self._spins[key]

    def _instances(
        self, condition: Condition, sides: list[Side], spin: Spin | None, closing: ExitStack
    ) -> Instances:
        operator, count = condition.operator, condition.instances
        more = round(operator.calls * condition.planted) if operator.by_calls else 0
        mocks = [self._instance("mock", condition, each, closing, more) for each in sides[:count]]
        references = [
            self._instance("reference", condition, each, closing) for each in sides[count:]
        ]
        if spin:
            mocks = [replace(each, spin=spin.cycles) for each in mocks]
        references[0].lead_in()
        sample_ms = references[0].sample().ms() * operator.calls
        second = references[1] if count == 1 else None
        return Instances([*mocks], [*references[:count]], second, sample_ms=sample_ms)

    def _instance(
        self, label: str, condition: Condition, side: Side, closing: ExitStack, more: int = 0
    ) -> Planted:
        """An instance of a side; graphs of sides that come again are kept."""
        operator = condition.operator
        if condition.mode == "eager":
            return planted(label, side, operator.calls, more=more, graph=False)
        if self._sources[operator.name].lasting:
            if id(side) not in self._graphs:
                self._graphs[id(side)] = planted(label, side, operator.calls)
            return replace(self._graphs[id(side)], label=label)
        made = planted(label, side, operator.calls, more=more)
        assert made.graph is not None
        closing.callback(made.graph.close)
        return made


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
