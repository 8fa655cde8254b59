"""All checks in the order in which they run and are shown; none can end the command."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from harness.doctor import (
    card,
    driver,
    frameworks,
    libcupti,
    packages,
    profilers,
    programs,
    settings,
)
from harness.doctor.capabilities import capabilities
from harness.doctor.machine import Machine
from harness.doctor.model import Finding, Outcome, Report, absent, problem
from harness.errors import HarnessError, MissingDeviceError, MissingPackageError, RecorderBusyError
from harness.report.private import without_paths


class Check(NamedTuple):
    """One question.

    Attributes:
        topic: heading in the report.
        name: unique; what capabilities refer to.
        run: answers it; whatever it raises becomes the finding.
        needs_device: is asked only where torch sees a GPU.
    """

    topic: str
    name: str
    run: Callable[[Machine], Outcome]
    needs_device: bool = False


# NVML comes before the self-test, which makes a CUDA context: this process is none of the others.
CHECKS = (
    Check("Python", "Python", packages.python),
    Check("Python", "torch", packages.torch),
    Check("Python", "torch.profiler", packages.torch_profiler),
    Check("Python", "dependencies", packages.dependencies),
    Check("GPU", "driver", driver.driver),
    Check("GPU", "driver and CUDA", driver.cuda_match),
    Check("GPU", "CUDA device", driver.cuda_device),
    Check("NVML", "NVML", card.usable),
    Check("NVML", "conditions", card.conditions, needs_device=True),
    Check("NVML", "NVML devices", card.devices, needs_device=True),
    Check("NVML", "energy counter", card.energy, needs_device=True),
    Check("NVML", "sharing", card.sharing, needs_device=True),
    Check("NVML", "persistence", card.persistence, needs_device=True),
    Check("CUPTI", "cupti-python", packages.cupti_python),
    Check("CUPTI", "cuda-bindings", packages.cuda_bindings),
    Check("CUPTI", "libcupti", libcupti.mapped),
    Check("CUPTI", "libcupti version", libcupti.version, needs_device=True),
    Check("CUPTI", "record layouts", libcupti.layouts, needs_device=True),
    Check("CUPTI", "other profilers", profilers.around),
    Check("CUPTI", "CUPTI subscription", profilers.subscription, needs_device=True),
    Check("CUPTI", "live self-test", profilers.self_test, needs_device=True),
    Check("NVTX and programs", "nvtx", packages.nvtx),
    Check("NVTX and programs", "NVTX to CUPTI", libcupti.nvtx_entry),
    Check("NVTX and programs", "nsys", programs.nsys),
    Check("NVTX and programs", "ncu", programs.ncu),
    Check("NVTX and programs", "counters", profilers.counters),
    Check("settings", "variables", settings.distorting),
    Check("settings", "TEARDOWN_CUPTI", settings.teardown),
    Check("operators and frameworks", "operators", frameworks.operators),
)


def examine(machine: Machine, *, debug: bool = False) -> Report:
    """Run every check.

    Args:
        machine: where checks get their facts from.
        debug: print the traceback of an unexpected exception to standard error.
    """
    names = _framework_names(machine)
    findings = tuple(_found(machine, debug, names))
    return Report(findings, capabilities(findings, names))


def _found(machine: Machine, debug: bool, names: list[str]) -> Iterator[Finding]:
    device = _has_device(machine)
    first: dict[tuple[str, str], str] = {}
    for check in CHECKS:
        if check.needs_device and not device:
            outcome = absent("not checked: there is no CUDA device")
        else:
            outcome = _guarded(check, machine, debug)
        yield _finding(check, _not_again(outcome, first, check.name))
    for name in names:
        asked = Check("operators and frameworks", name, partial(frameworks.framework, name))
        yield _finding(asked, _guarded(asked, machine, debug))


def _finding(check: Check, outcome: Outcome) -> Finding:
    return Finding(
        check.topic, check.name, outcome.status, outcome.found, outcome.fix, outcome.busy
    )


def _not_again(outcome: Outcome, first: dict[tuple[str, str], str], name: str) -> Outcome:
    """What stopped a check before, such as another profiler, is told once and then named."""
    if not outcome.fix:
        return outcome
    before = first.setdefault((outcome.found, outcome.fix), name)
    if before == name:
        return outcome
    return replace(outcome, found=f"not checked: as {before}", fix="")


def _guarded(check: Check, machine: Machine, debug: bool) -> Outcome:
    try:
        return check.run(machine)
    except RecorderBusyError as error:
        return problem(without_paths(error.what), error.fix, busy=True)
    except (MissingDeviceError, MissingPackageError) as error:
        return absent(without_paths(error.what), error.fix)
    except HarnessError as error:
        return problem(without_paths(error.what), error.fix)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a check must not end the examination
        if debug:
            traceback.print_exception(error, file=sys.stderr)
        said = without_paths(" ".join(str(error).split()))
        return problem(
            f"the check failed with {type(error).__name__}: {said}",
            "see the traceback with --debug; report it if it is not from the installation",
        )


def _has_device(machine: Machine) -> bool:
    try:
        return bool(machine.torch().devices)
    except (Exception, SystemExit):  # noqa: BLE001  the check of torch says what is wrong
        return False


def _framework_names(machine: Machine) -> list[str]:
    try:
        return machine.frameworks()
    except (Exception, SystemExit):  # noqa: BLE001  the check of operators says what is wrong
        return []
