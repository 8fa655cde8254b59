"""The NVIDIA driver, the CUDA devices, and how both fit torch."""

from __future__ import annotations

import re
from collections import Counter

from harness.doctor.machine import Machine, numbers
from harness.doctor.model import Outcome, Status, absent, ok, problem, warning
from harness.doctor.packages import INSTALL_TORCH
from harness.doctor.process import TorchFacts
from harness.report.private import without_paths

OLDEST_DRIVER = {12: 525, 13: 580}
"""CUDA release -> oldest driver branch on Linux (CUDA Compatibility guide, minor versions)."""

NEEDS_GPU = "run on a machine with an NVIDIA GPU; start a container with --gpus all"
_UNKNOWN = "unknown"


def driver(machine: Machine) -> Outcome:
    """The driver's version, and the newest CUDA that it supports."""
    text = machine.text("/proc/driver/nvidia/version") or ""
    found = re.search(r"\b\d{3}\.\d+(?:\.\d+)?\b", text)
    version, cuda = found[0] if found else "", machine.driver_cuda()
    if cuda == _UNKNOWN and not version:
        return absent("there is no NVIDIA driver", NEEDS_GPU)
    if cuda == _UNKNOWN:
        return problem(
            f"driver {version} is loaded, but libcuda.so.1 does not answer",
            "install the driver's user libraries, or start the container with --gpus all and "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        )
    return ok(f"{version or 'version not told'}, supports CUDA {cuda}")


def cuda_match(machine: Machine) -> Outcome:
    """Whether the driver can run what torch was built for."""
    wanted, offered = machine.torch().cuda, machine.driver_cuda()
    if not wanted or offered == _UNKNOWN:
        why = "there is no driver" if wanted else "torch is built without CUDA"
        return absent(f"not checked: {why}")
    said = f"torch is built for CUDA {wanted}, the driver supports {offered}"
    if numbers(wanted)[0] > numbers(offered)[0]:
        major = numbers(wanted)[0]
        branch = OLDEST_DRIVER.get(major)
        return problem(said, f"install a driver for CUDA {major}{f' ({branch} up)' * bool(branch)}")
    if numbers(wanted) > numbers(offered):
        return warning(
            f"{said}: works, except for code that the driver has to compile (PTX)",
            f"install a driver for CUDA {wanted} to be sure",
        )
    return ok(said)


def cuda_device(machine: Machine) -> Outcome:
    """Whether torch sees a GPU, and if not why."""
    facts = machine.torch()
    if not facts.devices:
        return _no_device(machine, facts)
    visible = machine.environ.get("CUDA_VISIBLE_DEVICES")
    limited = "" if visible is None else f"; CUDA_VISIBLE_DEVICES={visible}"
    counted = Counter(facts.devices).items()
    said = ", ".join(f"{count} x {name}" if count > 1 else name for name, count in counted)
    if facts.complaint:
        return warning(
            f"{said}{limited}; torch warns: {without_paths(facts.complaint)}",
            "use a torch build for this device",
        )
    return ok(f"{said}{limited}")


def _no_device(machine: Machine, facts: TorchFacts) -> Outcome:
    if driver(machine).status is not Status.OK:
        return absent("torch finds no CUDA device: the driver does not answer")
    if not facts.cuda:
        return absent("torch finds no CUDA device: it is built without CUDA", INSTALL_TORCH)
    visible = machine.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return absent(
            f"torch finds no CUDA device: CUDA_VISIBLE_DEVICES is {visible!r}",
            "unset CUDA_VISIBLE_DEVICES, or name a device that nvidia-smi -L lists",
        )
    said = f": {without_paths(facts.complaint)}" if facts.complaint else ""
    return problem(
        f"torch finds no CUDA device, though the driver answers{said}",
        "check that nvidia-smi -L lists a GPU and that this user may open the nvidia devices",
    )
