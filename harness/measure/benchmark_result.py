"""What ``benchmark_with_power`` yields: the collectors' keys, and the harness's own beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from harness.measure.conditions import Reading
from harness.measure.model import Conditions
from harness.measure.plan import Plan
from harness.measure.runs import RunTimes, median_interval
from harness.record.state import has_traced


def make_result(
    times: RunTimes,
    plan: Plan,
    energy: Mapping[str, Any] | None,
    readings: tuple[Reading, Reading],
    notes: Sequence[str],
    used_graph: bool,
) -> dict[str, Any]:
    """The result of a benchmark; the keys are those that `benchmark_with_power` lists.

    Args:
        times: in milliseconds per run.
        plan: how many calls a run makes, how many runs were timed.
        energy: what `harness.measure.energy.measure_energy` found, per run, or None.
        readings: the card before and after.
        notes: what happened on the way.
        used_graph: a run was the replay of a graph.
    """
    per_call = times.per_call(plan.repeat_n)
    (before, problem), (after, later) = readings
    interval, no_interval = _interval(per_call.samples_ms)
    return {
        "latency_ms": per_call.mean_ms,
        "power_stats": None,
        "throttled": any(card.get("throttled") for card in (before, after)),
        "num_runs_executed": plan.num_runs,
        "used_cuda_graph": used_graph,
        "samples_ms": list(per_call.samples_ms),
        "median_ms": median(per_call.samples_ms),
        "ci95_ms": interval,
        "energy_j": None,
        "energy": None,
        "conditions": Conditions(
            before=before,
            after=after,
            traced_before=has_traced(),
            unavailable=problem or later,
        ),
        "notes": [*notes, *no_interval],
    } | (_of_power_window(energy, plan) if energy else {})


def _interval(samples: Sequence[float]) -> tuple[tuple[float, float] | None, list[str]]:
    try:
        return median_interval(samples), []
    except ImportError:
        return None, ["ci95_ms is not computed: scipy is not installed"]


def _of_power_window(energy: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """What collectors take from the runs that power was measured over."""
    joules = energy["energy_j"] / plan.repeat_n
    return {
        "latency_ms": energy["replay_ms"] / plan.repeat_n,
        "power_stats": {"power": energy["power"], "power_limit": energy["power_limit"]},
        "num_runs_executed": energy["calls"],
        "energy_j": joules,
        "energy": {**energy, "energy_j": joules},
    }
