"""What NVML tells of the card: readings, energy, and who shares it."""

from __future__ import annotations

from typing import Any

from harness.doctor.machine import Machine
from harness.doctor.model import Outcome, absent, ok, problem, warning

_READINGS = (
    ("sm_clock_mhz", "SM {} MHz"),
    ("memory_clock_mhz", "memory {} MHz"),
    ("temperature_c", "{} C"),
    ("power_limit_w", "limit {} W"),
)


def usable(machine: Machine) -> Outcome:
    """Whether NVML starts at all."""
    machine.nvml()
    return ok(f"nvidia-ml-py {machine.package('nvidia-ml-py')}".rstrip())


def conditions(machine: Machine) -> Outcome:
    """Clocks, temperature and power limit of the current device, and whether it is throttled."""
    seen = machine.nvml().snapshot()
    said = ", ".join(form.format(seen[key]) for key, form in _READINGS if seen[key] is not None)
    missing = [key for key, _ in _READINGS if seen[key] is None]
    if not said:
        return absent("the card tells none of its readings", "use a whole GPU, not a slice of one")
    if seen["throttled"]:
        reasons = ", ".join(seen["clock_event_reasons"] or ())
        return warning(f"{said}; throttled now: {reasons}", "let the card cool, check its power")
    if missing:
        return warning(f"{said}; not told: {', '.join(missing)}", "use a whole GPU, not a slice")
    return ok(said)


def devices(machine: Machine) -> Outcome:
    """Whether each torch device is found in NVML, by UUID."""
    card, count = machine.nvml(), len(machine.torch().devices)
    for index in range(count):
        card.power_limit_w(index)
    return ok(f"{count} of {count} torch devices found by UUID")


def energy(machine: Machine) -> Outcome:
    """Whether the current device counts its energy."""
    seen = machine.nvml().energy_mj()
    if seen is None:
        return absent("the card has no energy counter", "use a whole data-centre GPU, not a slice")
    if not seen:
        return problem("the energy counter stands at 0", "check the driver: nvidia-smi -q -d POWER")
    return ok("there (mJ, moves about every 100 ms)")


def sharing(machine: Machine) -> Outcome:
    """MIG, vGPU and other processes: each disturbs timing."""
    seen = machine.nvml().sharing()
    disturbing = _disturbing(seen)
    if disturbing:
        return warning("; ".join(disturbing), "time on a whole GPU that nobody else uses")
    told = [] if seen["other_processes"] is None else ["no other process computes on it"]
    mode = seen["virtualisation"]
    told += [] if mode in (None, "none") else [f"virtualisation: {mode}"]
    return ok(", ".join(["whole GPU", *told]))


def _disturbing(seen: dict[str, Any]) -> list[str]:
    said = []
    if seen["mig"]:
        said.append("a MIG slice: memory, clocks and power are shared with other slices")
    if "vgpu" in str(seen["virtualisation"]):
        said.append("a virtual GPU (vGPU): the host schedules it, and CUPTI may be switched off")
    if others := seen["other_processes"]:
        said.append(f"{others} other process{'es' * (others > 1)} on the card")
    return said


def persistence(machine: Machine) -> Outcome:
    """Whether the driver stays loaded between processes."""
    mode = machine.nvml().snapshot()["persistence"]
    if mode is None:
        return ok("not told")
    if mode:
        return ok("on")
    return warning(
        "off: the driver may unload between processes, and the first launches are slow",
        "have an administrator run nvidia-smi -pm 1",
    )
