"""What counts as a change of the card, and what does not."""

import pytest

from harness.measure.card_changes import card_changes, power_capped_ms
from harness.measure.model import Conditions

CARD = {
    "sm_clock_mhz": 1980,
    "temperature_c": 40,
    "power_limit_w": 700.0,
    "throttled": False,
    "clock_event_reasons": [],
    "persistence": True,
    "mig_mode": False,
    "ecc": True,
    "process_ids": [5],
    "violations_ns": {"power": 10, "thermal": 20, "reliability": None},
    "ecc_errors": {"corrected": 1, "uncorrected": 0},
}
DURING = {"readings": 3, "power_limit_w": [700.0, 700.0], "process_ids": [5], "throttled": False}


def changes(after=None, during=None, before=None):
    return card_changes(
        Conditions(CARD | (before or {}), CARD | (after or {}), during=DURING | (during or {}))
    )


def test_an_unchanged_card_has_no_changes():
    assert changes() == []
    assert card_changes(Conditions()) == []


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({"throttled": True, "clock_event_reasons": ["sw_power_cap", "hw_thermal"]},
         "throttled after timing: hw_thermal"),
        ({"violations_ns": {"power": 10, "thermal": 3_500_020}},
         "held below its clocks for 3.5 ms: thermal"),
        ({"power_limit_w": 500.0}, "power limit 700.0 -> 500.0 W"),
        ({"process_ids": [5, 77]}, "another process came to the card: 77"),
        ({"ecc_errors": {"corrected": 3, "uncorrected": 0}}, "2 corrected memory errors (ECC)"),
        ({"ecc_errors": {"corrected": 1, "uncorrected": 1}}, "1 uncorrected memory error (ECC)"),
        ({"mig_mode": True}, "MIG mode off -> on"),
        ({"persistence": False}, "persistence mode on -> off"),
        ({"ecc": False}, "ECC mode on -> off"),
    ],
)  # fmt: skip
def test_each_change_is_one_line(after, said):
    assert changes(after) == [said]


@pytest.mark.parametrize(
    ("during", "said"),
    [
        ({"throttled": True, "clock_event_reasons": ["hw_power_brake"]},
         "throttled during timing: hw_power_brake"),
        ({"power_limit_w": [400.0, 700.0]}, "power limit 700.0 -> 400.0 -> 700.0 W"),
        ({"process_ids": [5, 88]}, "another process came to the card: 88"),
    ],
)  # fmt: skip
def test_what_came_and_went_is_a_change_too(during, said):
    assert changes(during=during) == [said]


@pytest.mark.parametrize(
    "after",
    [
        {"sm_clock_mhz": 1500, "temperature_c": 85},
        {"clock_event_reasons": ["sw_power_cap"]},
        {"violations_ns": {"power": 10**9, "thermal": 20, "reliability": 10**9}},
        {"process_ids": []},
        {"process_ids": None, "mig_mode": None, "ecc_errors": {"corrected": None}},
    ],
)
def test_clocks_the_power_cap_and_what_is_not_told_are_no_changes(after):
    assert changes(after) == []


def test_how_long_the_power_cap_held_is_known_where_it_is_counted():
    grown = CARD | {"violations_ns": {"power": 10 + 5_000_000}}
    assert power_capped_ms(Conditions(CARD, grown)) == 5
    assert power_capped_ms(Conditions({}, grown)) is None
