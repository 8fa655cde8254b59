"""Energy and conditions on a real card. How good the figures are is benchmarks/energy.py's."""

import os
import subprocess
import sys
import time

import pytest
import torch

from harness.measure.card_changes import card_changes
from harness.measure.conditions import ConditionsWatch, read_card
from harness.measure.energy import measure_energy
from harness.measure.energy_window import COUNTER, CardReader, energy_window
from harness.measure.feed import Feeder, batch_calls
from harness.measure.graph import capture
from harness.measure.instant_power import trace_power
from harness.measure.nvml import device_uuid, nvml
from harness.measure.nvml_names import VIOLATION_POLICIES
from ops.sides import Side
from tests.gpu_support import ON_DEVICE, ROOT

pytestmark = ON_DEVICE


@pytest.fixture(scope="module")
def replay():
    """A GEMM of a fraction of a millisecond."""
    left, right = (torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    graph = capture(Side("gemm", call=lambda: left @ right))
    yield graph.replay
    graph.close()


@pytest.fixture
def counter():
    """Skips where the card has no energy counter."""
    pytest.importorskip("pynvml")
    if nvml().energy_mj() is None:
        pytest.skip("the card has no energy counter")


def test_energy_is_power_times_time_per_call(counter, replay):
    found, reason = measure_energy(replay, "cuda", min_duration_s=0.5)
    assert reason == ""
    assert found["source"] == COUNTER
    assert found["energy_j"] == pytest.approx(found["power"] * found["replay_ms"] / 1000)
    assert found["ticks"] >= 2
    assert found["duration_s"] >= 0.5
    assert 0 < found["calls_between_ticks"] < found["calls"]
    assert 0 < found["quantisation"] < 0.5
    assert found["uuid"] == device_uuid("cuda")


def test_the_calls_between_the_ticks_are_those_of_the_time_between_them(counter, replay):
    found, _ = measure_energy(replay, min_duration_s=0.5)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(500):
        replay()
    end.record()
    end.synchronize()
    alone = start.elapsed_time(end) / 500
    assert found["replay_ms"] == pytest.approx(alone, rel=0.25)  # clocks move; a miscount is worse


def test_a_busy_card_draws_more_than_an_idle_one(counter, replay):
    found, _ = measure_energy(replay, min_duration_s=0.5, idle_s=0.5)
    assert 0 < found["idle_w"] < found["power"]
    assert found["power"] <= 1.2 * found["power_limit"]


def test_the_trace_covers_the_window_and_sees_the_power_of_the_counter(counter, replay):
    found, _ = measure_energy(replay, min_duration_s=2.0, trace=True)
    if found["trace"] is None:
        pytest.skip("; ".join(found["notes"]))
    times, watts = found["trace"]["time_s"], found["trace"]["power_w"]
    assert times[0] < 0
    assert times[-1] > found["duration_s"] - 0.1
    inside = [w for at, w in zip(times, watts, strict=True) if 0 <= at <= found["duration_s"]]
    assert sum(inside) / len(inside) == pytest.approx(found["power"], rel=0.25)


def test_a_card_without_a_counter_is_integrated(replay):
    pytest.importorskip("pynvml")
    card = nvml()
    if card.instant_power_w() is None:
        pytest.skip("the card does not tell its instant power")

    class NoCounter:
        def energy_mj(self, device):
            return None

        def instant_power_w(self, device):
            return card.instant_power_w(device)

    feeder = Feeder(replay, batch_calls(0.2, 2.0))
    window = energy_window(CardReader(NoCounter(), device_uuid(None)), feeder.keep_busy, 1.0)
    feeder.finish()
    assert window.source != COUNTER
    assert window.joules > 0
    assert window.seconds == pytest.approx(1.0, abs=0.2)


def test_a_very_short_call_is_measured_and_the_waiting_is_said(counter):
    tiny = torch.zeros(1, device="cuda")
    found, reason = measure_energy(lambda: tiny.add_(1), min_duration_s=0.3)
    assert reason == ""
    assert found["energy_j"] > 0
    if found["ran_dry"] > 0.5 * found["calls"] / 400:
        assert any("repeat_n" in note for note in found["notes"])


def test_instant_power_is_sampled_while_this_process_works(replay):
    pytest.importorskip("pynvml")
    if nvml().instant_power_w() is None:
        pytest.skip("the card does not tell its instant power")
    with trace_power("cuda") as trace:
        begun = time.monotonic()
        while time.monotonic() - begun < 0.5:
            replay()
        torch.cuda.synchronize()
    assert len(trace.watts) >= 5
    assert min(trace.watts) > 0
    assert trace.times_s[0] < begun + 0.1


def test_a_reading_holds_the_counters_that_cover_the_time_between():
    pytest.importorskip("pynvml")
    reading, problem = read_card("cuda", busy=True)
    assert problem == ""
    assert set(reading["violations_ns"]) == set(VIOLATION_POLICIES.values())
    assert set(reading["ecc_errors"]) == {"corrected", "uncorrected"}
    assert reading["mig_mode"] in (True, False, None)
    assert os.getpid() not in (reading["process_ids"] or ())
    assert "gpu_idle" not in (reading["clock_event_reasons"] or ())


def test_in_between_the_card_is_sampled_and_nothing_changes_on_it(replay):
    pytest.importorskip("pynvml")
    watch = ConditionsWatch("cuda")
    begun = time.monotonic()
    while time.monotonic() - begun < 1.0:
        replay()
        torch.cuda.synchronize()
    state = watch.finish()
    assert (state.unavailable, state.unsampled) == ("", "")
    assert state.during["readings"] >= 3
    assert state.during["sm_clock_mhz"][0] <= state.during["sm_clock_mhz"][1]
    assert card_changes(state) == []


def test_another_process_that_comes_to_the_card_is_a_change():
    pytest.importorskip("pynvml")
    watch = ConditionsWatch("cuda")
    code = "import torch; torch.zeros(1, device='cuda'); print('there', flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "there\n"
        state = watch.finish()
    finally:
        other.communicate("\n", timeout=60)
    if state.before["process_ids"] is None:
        pytest.skip("NVML does not list processes here")
    assert any("another process" in line for line in card_changes(state))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_each_card_is_read_by_its_own_uuid(counter):
    tensors = [torch.randn(4096, 4096, device=f"cuda:{index}") for index in range(2)]
    found = []
    for index, tensor in enumerate(tensors):
        with torch.cuda.device(index):
            found.append(measure_energy(lambda one=tensor: one @ one, index, min_duration_s=0.5)[0])
    assert found[0]["uuid"] != found[1]["uuid"]
    assert all(one["energy_j"] > 0 for one in found)
