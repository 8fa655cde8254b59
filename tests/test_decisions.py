"""The benchmark of decisions, without a GPU: rates, goals, shards, planting, tables."""

from __future__ import annotations

import itertools
import json
import random
from functools import partialmethod

import pytest
import torch

from benchmarks import decisions, decisions_plant, decisions_pool, decisions_stream, tables
from benchmarks.decisions_operators import OPERATORS, SYNTHETIC, Operator
from benchmarks.decisions_plant import Stretched, StretchedSample, calibrated
from benchmarks.decisions_pool import GOALS, goals, pooled, rate
from benchmarks.decisions_stream import PLANTED, TOLERANCES, Bench, Condition
from harness.measure.events import EventSample
from harness.measure.instances import Instances
from ops.sides import Side


def pair(planted=0.0, operator="rmsnorm", collectors=1.0, seconds=0.2, **said):
    answers = {0.01: "inside", 0.005: "inside"} | {float(k): v for k, v in said.items()}
    return {
        "operator": operator,
        "mode": "graph",
        "planted": planted,
        "added": planted,
        "decisions": [
            {"tolerance": tolerance, "decision": answer, "seconds": seconds, "instances": 2}
            for tolerance, answer in answers.items()
        ],
        "collectors_ratio": collectors,
    }


def outside(planted, **more):
    return pair(planted, **more, **{"0.01": "outside", "0.005": "outside"})


def line_of(lines, group="up to 1.5 ms", tolerance=0.01, planted=0.0):
    key = (group, tolerance, planted)
    (found,) = [x for x in lines if (x["group"], x["tolerance"], x["planted"]) == key]
    return found


def test_no_hit_in_600_bounds_the_rate_by_about_half_a_percent():
    found = rate(0, 600)
    assert (found["share"], found["low"]) == (0, 0)
    assert found["high"] == pytest.approx(0.00613, abs=1e-4)
    assert rate(0, 0)["share"] is None


def test_both_ways_are_counted_on_the_same_pairs():
    records = [pair(collectors=1.02), pair(collectors=1.004), outside(0.0), pair(collectors=0.98)]
    line = line_of(pooled(records))
    assert (line["outside"]["hits"], line["outside"]["count"]) == (1, 4)
    assert (line["collectors_outside"]["hits"], line["inside"]) == (2, 0.75)


def test_long_operators_are_pooled_by_themselves():
    lines = pooled([pair(), pair(operator="dsa_4096"), pair(operator="dsa_512")])
    assert line_of(lines)["outside"]["count"] == 2
    assert line_of(lines, "15 ms")["outside"]["count"] == 1


def good():
    """As many pairs as the goals ask for, decided rightly."""
    made = []
    for planted, operator, count in itertools.product(PLANTED, ("rmsnorm", "dsa_4096"), (600,)):
        for _ in range(count):
            large = {"0.01": "outside"} if planted > 0.01 else {}
            small = {"0.005": "outside"} if planted > 0.005 else {}
            made.append(pair(planted, operator, **large, **small))
    return made


def test_the_goals_are_met_by_enough_right_decisions_and_missed_by_slow_or_wrong_ones():
    found = goals(pooled(good()))
    assert len(found) == 2 * len(GOALS)
    assert all(goal["met"] for goal in found)
    slow = goals(pooled([{**p, "decisions": _slower(p)} for p in good()]))
    assert not any(goal["met"] for goal in slow if goal["group"] == "up to 1.5 ms")
    wrong = goals(pooled([*good(), *(outside(0.0) for _ in range(10))]))
    missed = [(g["tolerance"], g["planted"]) for g in wrong if not g["met"]]
    assert missed == [(0.01, 0.0), (0.005, 0.0)]


def _slower(record):
    return [{**each, "seconds": 2.0} for each in record["decisions"]]


def test_too_few_decisions_meet_no_goal():
    assert not any(goal["met"] for goal in goals(pooled(good()[:5])))


def test_a_round_holds_every_condition_and_cheap_operators_come_first():
    chosen = [OPERATORS[name] for name in SYNTHETIC]
    count = len(chosen) * 2
    made = list(itertools.islice(decisions.conditions(chosen), count + 1))
    assert len(set(made[:count])) == count
    assert made[count] == made[0]
    assert [each.operator.name for each in made[:count:2]] == list(SYNTHETIC)


def test_eager_samples_of_the_shortest_operators_are_in_every_fourth_round():
    operator = OPERATORS["rmsnorm"]
    made = itertools.islice(decisions.conditions([operator]), 10)
    assert "".join(each.mode[0] for each in made) == "gegggg" + "eggg"


def test_nothing_is_asked_on_the_edge_itself():
    asked = [
        (PLANTED[each.planted], each.tolerance)
        for each in decisions_stream._questions(Instances([], []))
    ]
    assert set(asked) == set(itertools.product(PLANTED, TOLERANCES)) - {
        (0.01, 0.01),
        (0.005, 0.005),
    }


def test_shards_have_seeds_of_their_own():
    seeds = {decisions.seed_of(shard, n) for shard in ("a", "b") for n in range(1000)}
    assert len(seeds) == 2000


class FakeBench:
    def __init__(self, fails_at=None):
        self.seeds, self.fails_at = [], fails_at

    def decide(self, condition, seed):
        if len(self.seeds) == self.fails_at:
            raise RuntimeError("out of memory")
        self.seeds.append(seed)
        return [pair(planted, condition.operator.name) for planted in PLANTED]


def run_for(path, monkeypatch, pairs, bench):
    """Run a shard on a clock that a call moves by a second."""
    ticks = itertools.count()
    monkeypatch.setattr(decisions.time, "monotonic", lambda: float(next(ticks)))
    return decisions.run_shard(path, [OPERATORS["rmsnorm"]], 2.0 * pairs, bench)


def test_a_shard_goes_on_where_it_ended_with_other_seeds(tmp_path, monkeypatch, capsys):
    path, bench = tmp_path / "a.json", FakeBench()
    first = run_for(path, monkeypatch, 5, bench)
    assert 0 < first == len(decisions.read_shard(path))
    second = run_for(path, monkeypatch, 5, bench)
    assert second == len(decisions.read_shard(path)) == len(PLANTED) * len(bench.seeds) > first
    assert len(PLANTED) * len(set(bench.seeds)) == second
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_pair_that_fails_ends_the_shard_and_keeps_what_was_decided(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.json"
    assert run_for(path, monkeypatch, 50, FakeBench(fails_at=3)) == -1
    figures = json.loads(path.read_text())["figures"]
    assert len(figures["pairs"]) == 3 * len(PLANTED)
    assert "out of memory" in figures["problems"][0]


def test_merging_pools_all_shards_into_a_table(tmp_path, monkeypatch):
    folder = tmp_path / "decisions"
    folder.mkdir()
    for name in ("a", "b"):
        decisions.write_shard(folder / f"{name}.json", {"pairs": [pair()] * 3, "problems": []})
    figures = decisions.merge(folder)
    assert figures["shards"] == {"a": 3, "b": 3}
    assert line_of(figures["lines"])["outside"]["count"] == 6
    decisions.write_result("decisions", tmp_path, figures)
    monkeypatch.setattr(tables, "DEFAULT_FOLDER", tmp_path)
    monkeypatch.setattr(tables, "where", lambda document: "here")
    section = "\n\n".join(tables.decisions())
    assert "| 1.0% | +0.0% | up to 1.5 ms | 6 | 0.00% [0.00%, " in section
    assert "Pairs per shard: a 3, b 3." in section


def test_without_results_there_is_no_section(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "DEFAULT_FOLDER", tmp_path)
    assert tables.decisions() == []


class FixedSample(EventSample):
    def __init__(self, ms, calls=1):
        super().__init__((), calls)
        object.__setattr__(self, "fixed", ms)

    def ms(self):
        return self.fixed / self.calls


class FakeGraph:
    def __init__(self, calls):
        self.calls, self.closed = calls, False

    def replay(self):
        assert not self.closed

    def close(self):
        self.closed = True


class FakeSource:
    lasting = False

    def __init__(self):
        self.sides = [Side(f"side {n}", call=lambda: None) for n in range(4)]

    def supply(self, source):
        if self.lasting:
            yield from self.sides
        while not self.lasting:
            yield Side("side", call=lambda: None)


class LastingSource(FakeSource):
    lasting = True


class Card:
    """A call takes 5 us, give or take 0.1 %; a spin kernel 2 us and half a nanosecond a cycle."""

    def __init__(self):
        self.noise, self.graphs = random.Random(1), []

    def capture(self, side, *, calls=1, topology=True):
        self.graphs.append(FakeGraph(calls))
        return self.graphs[-1]

    @staticmethod
    def sample_of(instance, card):
        return card.sample(instance)

    def sample(self, instance):
        taken = self.calls_of(instance)
        spins = tuple(FixedSample(0.002 + 5e-7 * each, instance.calls) for each in instance.cycles)
        return taken if not spins else FixedStretched(taken, spins, instance.log)

    def calls_of(self, instance):
        return FixedSample(0.005 * instance.calls * (1 + self.noise.gauss(0, 1e-3)), instance.calls)


class FixedStretched:
    def __init__(self, taken, spins, log):
        self.taken, self.spins, self.log = taken, spins, log

    def ms(self):
        self.log.append(tuple(each.ms() for each in self.spins))
        return self.taken.ms()


@pytest.fixture
def card(monkeypatch):
    made = Card()
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(decisions_plant, "capture", made.capture)
    monkeypatch.setattr(decisions_stream, "capture", made.capture)
    monkeypatch.setattr("harness.measure.unroll.capture", made.capture)
    monkeypatch.setattr(Stretched, "sample", partialmethod(Card.sample_of, made))
    monkeypatch.setattr(decisions_plant, "spin_rate", lambda: 2e9)
    monkeypatch.setattr(decisions_stream, "time_replays", lambda replay, runs: [0.008] * runs)
    return made


def test_spin_kernels_are_calibrated_to_the_planted_shares(card):
    instance = Stretched("mock", Side("mock", call=lambda: None), FakeGraph(200), 200)
    shares = (0.005, 0.01, 0.02)
    found = calibrated(instance, shares)
    assert found == tuple(pytest.approx((share - 0.002) / 5e-7, rel=0.01) for share in shares)


def test_a_share_shorter_than_any_kernel_is_planted_as_short_as_possible(card):
    instance = Stretched("mock", Side("mock", call=lambda: None), FakeGraph(8), 8)
    assert calibrated(instance, (0.005,)) == (1,)


def test_a_sample_gives_the_operator_and_logs_the_kernels_behind_it():
    log = []
    pairs = ((FakeEvent(0.0), FakeEvent(2.0)),)
    sample = StretchedSample(pairs, 2, (FixedSample(0.1), FixedSample(0.2)), log)
    assert sample.ms() == 1.0
    assert log == [(0.1, 0.2)]


class FakeEvent:
    def __init__(self, at):
        self.at = at

    def synchronize(self):
        pass

    def elapsed_time(self, other):
        return other.at - self.at


def test_each_planted_ratio_of_a_draw_is_decided_both_ways(card):
    operator = Operator("rmsnorm", "", 200, FakeSource)
    found = Bench().decide(Condition(operator, "graph"), seed=1)
    assert [each["planted"] for each in found] == list(PLANTED)
    said = {(r["planted"], d["tolerance"]): d["decision"] for r in found for d in r["decisions"]}
    assert said == {
        (0.0, 0.01): "inside",
        (0.0, 0.005): "inside",
        (0.005, 0.01): "inside",
        (0.01, 0.005): "outside",
        (0.015, 0.01): "outside",
        (0.015, 0.005): "outside",
        (0.02, 0.01): "outside",
        (0.02, 0.005): "outside",
    }
    for record in found:
        assert record["added"] == pytest.approx(record["planted"], abs=1e-4)
        assert record["collectors_ratio"] == pytest.approx(1 + record["added"])
        for each in record["decisions"]:
            assert each["ratio"] == pytest.approx(1 + record["planted"], abs=2e-3)
            assert each["floor"] == pytest.approx(1, abs=2e-3)
    assert all(graph.closed for graph in card.graphs)
    json.dumps(found, allow_nan=False)


def test_graphs_of_sides_that_come_again_are_captured_once(card):
    bench = Bench()
    operator = Operator("dsa_512", "", 200, LastingSource)
    for seed in (1, 2):
        bench.decide(Condition(operator, "graph"), seed)
    assert [graph.calls for graph in card.graphs].count(200) == 4


def test_the_collectors_way_is_one_side_after_the_other(monkeypatch):
    order = []
    monkeypatch.setattr(
        decisions_stream, "_collected_ms", lambda side, mode: order.append(side) or len(order)
    )
    assert decisions_stream.collectors_ratio("mock", "reference", "graph") == 0.5
    assert order == ["mock", "reference"]


def test_the_goal_table_says_which_goals_lack_decisions():
    rows = decisions_pool.goal_rows(goals(pooled([pair()])))
    assert rows[0] == [
        "1.0%",
        "+0.0%",
        "up to 1.5 ms",
        "0.00%",
        "at most 0.5%",
        "1 (too few)",
        "no",
    ]
