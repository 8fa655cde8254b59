"""The latency check on measurements that were decided while they were taken."""

from dataclasses import replace

import pytest

from harness.align.checks.latency import latency
from harness.align.model import Status
from harness.measure.model import Measurement, NoiseFloor, PairedMeasurement
from tests.test_checks import observation

MEASURED = PairedMeasurement(
    Measurement("mock", (0.2,) * 48, 5, "graph", instances=2),
    Measurement("reference", (0.2,) * 48, 5, "graph", instances=2),
    1.0004,
    (0.998, 1.003),
    "method",
    ("a note",),
    decision="inside",
    floor=NoiseFloor(1.0007, (1.0002, 1.0012), "another allocation of the reference"),
    cache_state="warm: ...",
    blocks=24,
    looks=2,
)


def checked(**changes):
    return latency(observation(pair=replace(MEASURED, **changes)))


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        ("inside", Status.PASS),
        ("outside", Status.FAIL),
        ("undecided", Status.INCONCLUSIVE),
    ],
)
def test_the_decision_of_the_measurement_is_the_check(decision, status):
    assert checked(decision=decision).status is status


def test_one_line_says_ratio_decision_instances_mode_cache_and_noise_floor():
    assert checked().reason == (
        "mock / reference 1.0004 [0.9980, 1.0030], inside 1 +- 1.00%; 0.2000 against 0.2000 ms; "
        "48 pairs, 2 instances a side, graph of 5 calls, warm; A/A 1.0007 [1.0002, 1.0012]"
    )


def test_an_open_question_says_why():
    found = checked(decision="undecided", undecided_because="the ratio drifted by +2.00%")
    assert "undecided against 1 +- 1.00%: the ratio drifted by +2.00%; " in found.reason


def test_an_interval_that_lies_inside_does_not_overrule_the_decision():
    found = checked(decision="undecided", undecided_because="the reference differs from itself")
    assert found.status is Status.INCONCLUSIVE


def test_the_evidence_holds_what_the_line_rests_on():
    data = checked(slow_samples=(0.05, 0.0), levels=(0.03, 0.0), drift=0.001).data
    assert data["floor"] == {
        "ratio": 1.0007,
        "ci95": [1.0002, 1.0012],
        "what": "another allocation of the reference",
    }
    assert (data["instances"], data["blocks"], data["looks"]) == (2, 24, 2)
    assert (data["slow_samples"], data["levels"], data["drift"]) == (
        [0.05, 0.0],
        [0.03, 0.0],
        0.001,
    )
    assert checked(floor=None).data["floor"] is None
