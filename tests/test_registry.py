"""Other packages add operators, frameworks and recorders without touching this one."""

from __future__ import annotations

from typing import Any

import pytest

from harness import plugins
from harness.errors import InputError, MissingPackageError
from harness.record import choose
from harness.record.dispatch import DispatchRecorder
from ops import registry
from ops.spec import Availability, OpSpec


class Entry:
    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def load(self) -> Any:
        return self.value


class Sglang:
    name = "sglang"

    def availability(self, op: OpSpec) -> Availability:
        return Availability(op.name == "dsa", "sglang 1.0", "use dsa")


@pytest.fixture
def installed(monkeypatch):
    """Pretend that other packages declare these entry points."""

    def declare(**groups: list[Entry]) -> None:
        def entry_points(group: str) -> list[Entry]:
            return groups.get(group.replace(".", "_"), [])

        monkeypatch.setattr(plugins, "entry_points", entry_points)
        monkeypatch.setattr(registry, "entry_points", entry_points)
        registry.adapter.cache_clear()
        registry.operators.cache_clear()

    yield declare
    registry.adapter.cache_clear()
    registry.operators.cache_clear()


def test_a_framework_of_another_package_builds_a_built_in_operator(installed):
    installed(harness_frameworks=[Entry("sglang", Sglang)])
    assert registry.framework_names()[-1] == "sglang"
    found, why = registry.choose_framework(registry.operator("dsa"), "sglang")
    assert (found.name, why) == ("sglang", "asked for (sglang 1.0)")


def test_an_operator_of_another_package_is_in_the_catalogue(installed):
    mine = OpSpec("mine", "", "", {}, "self_attn", "heads", {}, ("transformers",))
    installed(harness_ops=[Entry("mine", mine)])
    assert registry.operator("mine") is mine


@pytest.mark.parametrize("value", ["no operator", registry.operator("dsa")])
def test_an_entry_point_that_is_no_new_operator_is_refused(installed, value):
    installed(harness_ops=[Entry("mine", value)])
    with pytest.raises(InputError, match="entry point mine"):
        registry.operators()


def test_a_recorder_of_another_package_can_be_asked_for(installed):
    installed(harness_recorders=[Entry("tape", DispatchRecorder)])
    recorder, why = choose.choose_recorder("tape", "cpu")
    assert recorder.name == "dispatch"
    assert why.startswith("asked for")


def test_auto_says_what_it_passed_over_and_why():
    found, why = registry.choose_framework(registry.operator("dsa"), "auto")
    if found.name == "transformers":
        assert "tensorrt_llm" in why
        assert "vllm" in why


def test_no_framework_at_all_says_what_to_install(monkeypatch):
    lacking = Availability(False, "not installed", missing_package=True)
    for name in registry.BUILT_IN_ADAPTERS:
        monkeypatch.setattr(type(registry.adapter(name)), "availability", lambda self, op: lacking)
    with pytest.raises(MissingPackageError, match="pip install"):
        registry.choose_framework(registry.operator("dsa"), "auto")
