"""The benchmark of decisions, without a GPU: rates, goals, shards, planting, tables."""

from __future__ import annotations

import itertools
import json
import random

import pytest
import torch

from benchmarks import decisions, decisions_plant, decisions_pool, decisions_stream, tables
from benchmarks.decisions_operators import OPERATORS, SYNTHETIC, Operator
from benchmarks.decisions_plant import Planted, calibrated, calls_that_plant
from benchmarks.decisions_pool import GOALS, goals, pooled, rate
from benchmarks.decisions_stream import PLANTED, TOLERANCES, Bench, Condition
from harness.measure.events import EventSample
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
    count = len(chosen) * len(PLANTED) * 2
    made = list(itertools.islice(decisions.conditions(chosen), count + 1))
    assert len(set(made[:count])) == count
    assert made[count] == made[0]
    assert [each.operator.name for each in made[:count:10]] == list(SYNTHETIC)


def test_nothing_is_asked_on_the_edge_itself():
    condition = Condition(OPERATORS["rmsnorm"], "graph", 0.01)
    assert [each.tolerance for each in condition.questions] == [0.005]
    equal = Condition(OPERATORS["rmsnorm"], "graph", 0.0)
    assert [each.tolerance for each in equal.questions] == list(TOLERANCES)


def test_ratios_planted_by_calls_are_whole_calls():
    for operator in OPERATORS.values():
        if operator.by_calls:
            made = [calls_that_plant(share, operator.calls) for share in PLANTED]
            assert made == [(64, 0), (200, 1), (100, 1), (67, 1), (50, 1)]
    assert calls_that_plant(0.015, 200) == (200, 3)


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
        return pair(condition.planted, condition.operator.name)


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
    assert second == len(decisions.read_shard(path)) == len(bench.seeds) > first
    assert len(set(bench.seeds)) == second
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_pair_that_fails_ends_the_shard_and_keeps_what_was_decided(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.json"
    assert run_for(path, monkeypatch, 50, FakeBench(fails_at=3)) == -1
    figures = json.loads(path.read_text())["figures"]
    assert len(figures["pairs"]) == 3
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


class Spinning(Planted):
    """Takes 1 ms, and per spin cycle 0.5 ns after 2 us of launch."""

    def sample(self):
        ms = 1.0 + (0.002 + 5e-7 * self.spin if self.spin else 0.0)
        return FixedSample((), self.counted, ms)


class FixedSample(EventSample):
    def __init__(self, pairs, calls, ms):
        super().__init__(pairs, calls)
        object.__setattr__(self, "fixed", ms)

    def ms(self):
        return self.fixed / self.calls


def test_a_spin_kernel_is_calibrated_to_the_planted_share():
    side = Side("mock", call=lambda: None)
    for share in (0.005, 0.01, 0.02):
        found = calibrated(Spinning("mock", side, FakeGraph(8), 8, counted=8), share)
        assert found.share == pytest.approx(share, rel=1e-3)
        assert found.cycles == pytest.approx((share - 0.002) / 5e-7, rel=1e-3)


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


@pytest.fixture
def fake_cuda(monkeypatch):
    """A call takes 5 us, give or take 0.1 %; a spin cycle half a nanosecond."""
    noise, graphs, cycles = random.Random(1), [], [0]

    def capture(side, *, calls=1, topology=True):
        graphs.append(FakeGraph(calls))
        return graphs[-1]

    def sample(calls, counted):
        ms = 0.005 * calls * (1 + noise.gauss(0, 1e-3)) + 5e-7 * cycles[0]
        cycles[0] = 0
        return FixedSample((), counted, ms)

    def replayed(replay, counted):
        replay()
        return sample(replay.__self__.calls, counted)  # of a graph, or of an instance

    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda count: cycles.__setitem__(0, count))
    monkeypatch.setattr(decisions_plant, "capture", capture)
    monkeypatch.setattr(decisions_stream, "capture", capture)
    monkeypatch.setattr("harness.measure.unroll.capture", capture)
    monkeypatch.setattr(decisions_plant, "sample_replay", replayed)
    monkeypatch.setattr(decisions_stream, "time_replays", lambda replay, runs: [0.008] * runs)
    return graphs


@pytest.mark.parametrize("by_calls", [True, False])
def test_a_pair_is_decided_both_ways(fake_cuda, by_calls):
    operator = Operator("rmsnorm", "", 200, by_calls, FakeSource)
    found = Bench().decide(Condition(operator, "graph", 0.02), seed=1)
    assert [each["decision"] for each in found["decisions"]] == ["outside", "outside"]
    assert found["decisions"][0]["ratio"] == pytest.approx(1.02, abs=2e-3)
    assert found["decisions"][0]["floor"] == pytest.approx(1, abs=2e-3)
    assert found["added"] == pytest.approx(0.02, abs=1e-3)
    assert found["collectors_ratio"] == pytest.approx(1.02, abs=1e-3)
    assert all(graph.closed for graph in fake_cuda)
    json.dumps(found, allow_nan=False)


def test_graphs_of_sides_that_come_again_are_captured_once(fake_cuda):
    bench = Bench()
    operator = Operator("dsa_512", "", 200, False, LastingSource)
    for planted in (0.0, 0.02):
        bench.decide(Condition(operator, "graph", planted), seed=1)
    assert [graph.calls for graph in fake_cuda].count(200) == 4


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
