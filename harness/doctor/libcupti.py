"""The libcupti of this process: which one, how new, and whether its records can be read."""

from __future__ import annotations

from pathlib import Path

from harness.doctor.machine import Machine, short
from harness.doctor.model import Outcome, absent, ok, problem, warning
from harness.doctor.packages import INSTALL_TORCH

BEYOND_DOCUMENTED = 130600
"""cuptiGetVersion of the first release after those whose headers were read (13.0 to 13.5)."""

NVTX_ENTRY = b"InitializeInjectionNvtx2"
"""What a library exports so that NVTX, told of it by NVTX_INJECTION64_PATH, hands ranges to it."""


def mapped(machine: Machine) -> Outcome:
    """Which libcupti is in the process after importing torch."""
    facts = machine.torch()
    paths = machine.mapped()
    if not paths and facts.devices:
        machine.cupti()  # by its soname, when torch brings none
        paths = machine.mapped()
    if not paths:
        return absent("importing torch maps no libcupti", f"for a GPU: {INSTALL_TORCH}")
    if any("triton" in Path(path).parts for path in paths):
        return problem(
            "Proton (triton.profiler) has loaded a libcupti of its own: "
            + ", ".join(map(short, paths)),
            "record in a process that does not import triton.profiler",
            busy=True,
        )
    if len(paths) > 1:
        return warning(
            f"{len(paths)} copies are mapped, each sees a part only: "
            + ", ".join(map(short, paths)),
            "import torch before anything else that loads libcupti, and take other copies out of "
            "LD_LIBRARY_PATH and LD_PRELOAD",
        )
    package = machine.package("nvidia-cuda-cupti")
    return ok(short(paths[0]) + (f" (nvidia-cuda-cupti {package} is installed)" if package else ""))


def version(machine: Machine) -> Outcome:
    """Whether cuptiGetVersion answers, and with a version that is read."""
    from harness.record.cupti.layout import OLDEST

    found = machine.cupti().version()
    said = f"{found // 10000}.{found % 10000 // 100} ({found})"
    if found < OLDEST:
        return problem(f"{said} is older than CUDA 13.0", INSTALL_TORCH)
    if found >= BEYOND_DOCUMENTED:
        return warning(
            f"{said} is newer than 13.5, the newest whose headers were read",
            "compare a recording with nsys once, or use a torch for CUDA 13.0 to 13.5",
        )
    return ok(said)


def layouts(machine: Machine) -> Outcome:
    """Whether cupti-python's record layouts fit what this libcupti writes."""
    from harness.record.cupti.fields import FIELDS, Kind
    from harness.record.cupti.layout import documented_sizes, make_layouts

    library = machine.cupti()
    documented, sizes = documented_sizes(library.version()), library.record_sizes()
    fitted = make_layouts(machine.structs(), documented | sizes)
    lost = [
        f"{Kind(kind).name}.{name}"
        for kind, names in FIELDS.items()
        for name in names
        if name not in (fitted.dtypes[kind].names or ())
    ]
    if lost:
        return warning(
            f"fields that cupti-python does not know: {', '.join(lost)}",
            "pip install the cupti-python of your CUDA release (13.0.1 to 13.4)",
        )
    differing = [
        f"{Kind(kind).name} {sizes[kind]} instead of {size}"
        for kind, size in documented.items()
        if sizes.get(kind, size) != size
    ]
    if differing:
        return warning(
            f"record sizes in bytes differ from the headers: {', '.join(differing)}; those of the "
            "library are used",
            "compare a recording with nsys once",
        )
    own = sum(kind in sizes for kind in documented)
    return ok(f"{own} of {len(documented)} record sizes asked of the library, all as documented")


def nvtx_entry(machine: Machine) -> Outcome:
    """Whether NVTX ranges of a program can be handed to this libcupti."""
    paths = machine.mapped()
    if not paths:
        return absent("not checked: importing torch maps no libcupti")
    if NVTX_ENTRY not in machine.content(paths[0]):
        return absent(f"{short(paths[0])} does not take NVTX ranges", INSTALL_TORCH)
    target = machine.environ.get("NVTX_INJECTION64_PATH", "")
    if target and not Path(target).name.startswith("libcupti.so"):
        return problem(
            f"NVTX_INJECTION64_PATH sends the ranges to {short(target)}",
            "unset NVTX_INJECTION64_PATH, or start without the profiler that sets it",
            busy=True,
        )
    return ok(f"{short(paths[0])} takes NVTX ranges")
