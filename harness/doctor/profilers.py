"""Other profilers in or around this process, the live self-test, and who may read counters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from harness.doctor.machine import Machine
from harness.doctor.model import Outcome, absent, ok, problem, warning
from harness.doctor.process import LAUNCHES

_SETS = (
    ("nsys", re.compile(r"NSYS_|NSYSDK_")),
    ("ncu", re.compile(r"NV_COMPUTE_PROFILER_|NV_NSIGHT_")),
    ("compute-sanitizer", re.compile(r"NV_SANITIZER_")),
    ("nvprof", re.compile(r"NVPROF_")),
    ("dynolog (starts torch.profiler)", re.compile(r"KINETO_USE_DAEMON$")),
)
"""Tool -> variables that it sets for the process it starts (nsys and ncu 2025.3)."""

_LIBRARIES = re.compile(
    r"ToolsInjection|TreeLauncher|InterceptorInjection|cuda-injection|sanitizer|nsys|nsight|nvperf",
    re.IGNORECASE,
)
_CAP_SYS_ADMIN = 1 << 21


def around(machine: Machine) -> Outcome:
    """Profilers that the environment names, and a torch.profiler that runs."""
    if machine.profiler_running():
        return problem("torch.profiler is running", "record outside torch.profiler", busy=True)
    found = neighbours(machine.environ)
    if found:
        tools = "; ".join(found)
        return warning(f"the environment names {tools}", "start from a shell without this profiler")
    return ok("none in the environment")


def neighbours(environ: Mapping[str, str]) -> list[str]:
    """Profilers that variables tell of, one phrase each; the variable NSYS is no sign of one."""
    found = []
    for tool, pattern in _SETS:
        names = sorted(name for name in environ if pattern.match(name) and environ[name])
        if names:
            found.append(f"{tool} ({', '.join(names[:2])}{', ...' * (len(names) > 2)})")
    injected = environ.get("CUDA_INJECTION64_PATH", "")
    if injected:
        found.append(f"an injected library (CUDA_INJECTION64_PATH: {Path(injected).name})")
    preloaded = re.split(r"[:\s]+", environ.get("LD_PRELOAD", ""))
    libraries = [Path(path).name for path in preloaded if _LIBRARIES.search(path)]
    if libraries:
        found.append(f"a preloaded library (LD_PRELOAD: {', '.join(libraries)})")
    return found


def subscription(machine: Machine) -> Outcome:
    """Whether this process can hold CUPTI's one subscription; raises RecorderBusyError if not."""
    cupti = machine.cupti()
    holder = cupti.holder()
    if holder:
        from harness.record.cupti.errors import busy

        raise busy(holder)
    cupti.unsubscribe(cupti.subscribe())
    return ok("free")


def self_test(machine: Machine) -> Outcome:
    """Record tiny kernels on the current device with the live recorder."""
    seen = machine.record()
    lost = "losses not told" if seen.dropped is None else f"{seen.dropped} records dropped"
    said = f"{seen.activities} of {LAUNCHES} kernels, {seen.in_region} in their region, {lost}"
    reasons = list(seen.incomplete)
    if seen.activities != LAUNCHES:
        reasons.append("not the kernels that were launched")
    if seen.in_region != seen.activities:
        reasons.append("kernels without their region")
    if reasons or seen.dropped:
        return problem(
            "; ".join([said, *reasons]),
            "try again in a new process without other profilers; if it stays, report it with the "
            "output of --json",
        )
    return ok(f"{said}, complete")


def counters(machine: Machine) -> Outcome:
    """Whether this user may read performance counters: ncu needs them, activity records do not."""
    text = machine.text("/proc/driver/nvidia/params")
    if text is None:
        return absent("not checked: the driver's parameters are not shown here")
    found = re.search(r"RmProfilingAdminOnly:\s*(\d+)", text)
    if found is None or found[1] == "0":
        return ok("every user (RmProfilingAdminOnly: 0)" if found else "no restriction is told")
    if _is_admin(machine.text("/proc/self/status") or ""):
        return ok("administrators only, and this process has CAP_SYS_ADMIN")
    return problem(
        "administrators only (RmProfilingAdminOnly: 1): ncu cannot read counters; live recording "
        "does not need them",
        "run as root, give the container CAP_SYS_ADMIN, or load the NVIDIA driver with "
        "NVreg_RestrictProfilingToAdminUsers=0",
    )


def _is_admin(status: str) -> bool:
    found = re.search(r"CapEff:\s*([0-9a-fA-F]+)", status)
    return found is not None and bool(int(found[1], 16) & _CAP_SYS_ADMIN)
