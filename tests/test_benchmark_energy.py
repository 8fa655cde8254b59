"""Goals and tables of the energy benchmark, from figures that are made up."""

import json

import pytest

from benchmarks.energy import QUICK, Sizes, errors
from benchmarks.energy_goals import goals, spread_percent, sum_percent
from benchmarks.energy_table import sections
from benchmarks.energy_workloads import PAIRS
from benchmarks.recorder_goals import missed


def run(joules, **more):
    return {
        "energy_j": joules,
        "power": 600.0,
        "ticks": 50,
        "duration_s": 5.0,
        "quantisation": 0.001,
        "replay_ms": 1.0,
        "source": "energy counter",
        **more,
    }


def figures(**changes):
    state = {"violations_ns": {"power": 0}}
    capped = {"violations_ns": {"power": 7_000_000}}
    usage = {"energy_j": 0.5, "power_w": 500.0, "deviation_percent": -16.7, "readings": 10}
    counter = run(0.601, deviation_percent=0.17)
    made = {
        "workloads": {"gemm": "a GEMM", "dsa": "DSA"},
        "repeated": {"gemm": [run(0.6), run(0.6006)], "dsa": [run(0.2), run(0.2001)]},
        "conditions": {
            name: {"before": state, "after": capped, "changes": []} for name in ("gemm", "dsa")
        },
        "sums": [
            {
                **{"gemm": run(0.6), "dsa": run(0.2), "copy": run(0.3)},
                **{"dsa + copy": run(0.505), "gemm + dsa": run(0.86)},
            }
        ],
        "averaged": [{"window_s": 1.0, "power_usage": usage, "counter": counter}],
        "trace": {
            "gemm": {"trace_mean_w": 599.0, "readings": 9, "power_w": 600.0, "idle_w": 120.0},
            "dsa": {"error": "no instant power"},
        },
        "disturbance": {"gemm": {"percent": 0.01}, "dsa": {"percent": -0.3}},
    } | changes
    return made | {"goals": goals(made)}


def test_figures_that_are_good_meet_every_required_goal():
    found = figures()["goals"]
    assert missed(found) == []
    assert found["sum"]["measured"] == pytest.approx(1.0)
    assert found["sampling_dsa"]["met"] is False  # wished, not required


def test_a_spread_of_the_goal_itself_misses_it():
    wide = {"gemm": [run(0.6), run(0.61)], "dsa": [run(0.2), run(0.2001)]}
    assert spread_percent(wide["gemm"]) == pytest.approx(1.17, abs=0.01)
    assert missed(figures(repeated=wide)["goals"]) == ["spread_gemm"]


def test_windows_that_failed_were_short_or_had_no_counter_miss_goals():
    failed = {"gemm": [run(0.6), {"error": "lost"}], "dsa": [run(0.2), run(0.2, ticks=9)]}
    assert missed(figures(repeated=failed)["goals"]) == ["spread_gemm", "ticks", "not_by_counter"]
    assert errors(figures(repeated=failed)) == ["lost"]
    assert sum_percent([], PAIRS[0]) is None
    assert missed(figures(sums=[{"gemm": {"error": "lost"}}])["goals"]) == ["sum"]


def test_the_tables_show_every_figure_also_where_some_are_missing():
    text = "\n".join(sections(figures()))
    for shown in (
        "0.071 %",
        "-16.7 %",
        "+0.17 %",
        "599.0 (9 readings)",
        "no instant power",
        "7",
        "+1.00 %",
        "+7.50 %",
    ):
        assert shown in text
    lost = {"gemm": [{"error": "lost"}], "dsa": [{"error": "lost"}]}
    assert "0 of 1" in "\n".join(sections(figures(repeated=lost, sums=[], averaged=[])))


def test_sizes_and_figures_are_plain_json():
    assert sum(Sizes().windows.values()) == 6
    assert QUICK.repetitions < Sizes().repetitions
    json.dumps(figures(), allow_nan=False, sort_keys=True)
