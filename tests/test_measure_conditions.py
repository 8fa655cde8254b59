"""The state around a measurement, without a card."""

import os
import sys
from contextlib import nullcontext

import pytest
import torch

from harness.measure import conditions
from harness.measure.conditions import ConditionsWatch, read_card
from harness.measure.nvml import nvml
from harness.measure.sampler import SamplerError
from harness.record import residual
from harness.record.residual import Calibration


@pytest.fixture
def figures(monkeypatch):
    """Calibration figures that grow once the process has traced; returns the state."""
    state = {"traced": False}

    def cost():
        return Calibration(12.5, 1.4) if state["traced"] else Calibration(10.0, 1.0)

    monkeypatch.setattr(residual, "_untraced", None)
    for module in (conditions, residual):
        monkeypatch.setattr(module, "has_traced", lambda: state["traced"])
    monkeypatch.setattr(residual, "launch_cost", cost)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    return state


class FakeSampler:
    """Stands for the sampling process."""

    def __init__(self, found=None, problem=None):
        self.found, self.problem, self.begun = found, problem, []

    def begin(self, period_s):
        if self.problem:
            raise SamplerError(self.problem, fix="none")
        self.begun.append(period_s)

    def end(self):
        return self.found


def test_without_nvml_the_reading_is_empty_and_says_why(monkeypatch):
    nvml.cache_clear()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    reading, problem = read_card("cuda:0", busy=True)
    assert reading == {}
    assert "nvidia-ml-py" in problem


def test_a_watch_without_nvml_says_why_instead_of_raising(figures, monkeypatch):
    nvml.cache_clear()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = ConditionsWatch("cuda").finish()
    assert found.before == found.after == {}
    assert "nvidia-ml-py" in found.unavailable
    assert not found.traced_before


def test_a_watch_keeps_both_readings_apart(figures, monkeypatch):
    readings = iter([({"sm_clock_mhz": 1980}, ""), ({"sm_clock_mhz": 1965}, "")])
    monkeypatch.setattr(conditions, "read_card", lambda device, busy: next(readings))
    found = ConditionsWatch("cuda").finish()
    assert (found.before["sm_clock_mhz"], found.after["sm_clock_mhz"]) == (1980, 1965)
    assert found.unavailable == ""
    assert found.residual == {}


def read_twice(monkeypatch, **both):
    reading = ({"uuid": "GPU-a", **both}, "")
    monkeypatch.setattr(conditions, "read_card", lambda device, busy: reading)


def test_in_between_the_card_is_sampled_by_another_process(figures, monkeypatch):
    read_twice(monkeypatch)
    seen = {"readings": 4, "sm_clock_mhz": [1950, 1980], "process_ids": [os.getpid(), 12]}
    child = FakeSampler(seen)
    monkeypatch.setattr(conditions, "sampler", lambda uuid, kind: child)
    found = ConditionsWatch("cuda").finish()
    assert child.begun == [conditions.SAMPLE_S]
    assert found.during["sm_clock_mhz"] == [1950, 1980]
    assert found.during["process_ids"] == [12]
    assert found.unsampled == ""


def test_a_card_that_cannot_be_sampled_is_measured_all_the_same_and_it_is_said(
    figures, monkeypatch
):
    read_twice(monkeypatch)
    child = FakeSampler(problem="no such module")
    monkeypatch.setattr(conditions, "sampler", lambda uuid, kind: child)
    found = ConditionsWatch("cuda").finish()
    assert found.during == {}
    assert "no such module" in found.unsampled
    assert found.unavailable == ""


def test_what_tracing_left_behind_is_the_difference_to_before_it(figures, monkeypatch):
    monkeypatch.setattr(conditions, "read_card", lambda device, busy: ({}, ""))
    ConditionsWatch("cuda").finish()
    figures["traced"] = True
    found = ConditionsWatch("cuda").finish()
    assert found.traced_before
    assert found.residual == pytest.approx(
        {"launch_us_added": 2.5, "replay_node_us_added": 0.4, "replay_launch_node_us_added": 0.0}
    )


def test_a_process_that_traced_first_has_no_figures_to_compare_with(figures):
    figures["traced"] = True
    residual.calibrate_before_tracing()
    assert residual.residual() == {}
