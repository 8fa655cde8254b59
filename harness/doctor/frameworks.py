"""The catalogue of operators, and the frameworks that can build them."""

from __future__ import annotations

from harness.doctor.machine import Machine
from harness.doctor.model import Outcome, absent, ok


def operators(machine: Machine) -> Outcome:
    """Whether the catalogue, with what other packages add to it, can be read."""
    frameworks = ", ".join(machine.frameworks())
    return ok(f"{', '.join(machine.operators())} (frameworks: {frameworks})")


def framework(name: str, machine: Machine) -> Outcome:
    """Whether a framework is installed, and its kernels run on this device."""
    state = machine.framework(name)
    return ok(state.reason) if state.ok else absent(state.reason, state.fix)
