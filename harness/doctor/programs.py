"""The programs nsys and ncu: found where, and do they answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.doctor.machine import Machine, short
from harness.doctor.model import Outcome, absent, ok, problem
from harness.report.private import without_paths

_TOOLKIT = ("{cuda}/bin/{name}", "/usr/local/cuda*/bin/{name}")
_NSYS_PLACES = (
    "/opt/nvidia/nsight-systems*/bin/nsys",
    "/opt/nvidia/nsight-systems*/*/bin/nsys",
    "/opt/nvidia/nsight-systems*/*/target-linux-*/nsys",
    "/opt/nvidia/nsight-compute*/*/host/*/nsys",
    "/opt/nvidia/nsight-compute*/host/*/nsys",
)
_NCU_PLACES = (
    "/opt/nvidia/nsight-compute*/ncu",
    "/opt/nvidia/nsight-compute*/*/ncu",
    "/opt/nvidia/nsight-compute*/*/target/linux-*/ncu",
)
_LIBRARIES_OF_NSYS = {"libdw.so.1": "libdw1", "libelf.so.1": "libelf1"}
"""Shared library -> Debian package; the nsys inside an Nsight Compute install lacks both."""


def nsys(machine: Machine) -> Outcome:
    """Nsight Systems' command line."""
    said, path = _first_that_answers(machine, "nsys", _NSYS_PLACES)
    if path and "nsight-compute" in path:
        lacking = [name for name in _LIBRARIES_OF_NSYS if not machine.loadable(name)]
        if lacking:
            packages = " ".join(_LIBRARIES_OF_NSYS[name] for name in lacking)
            return problem(
                f"{said.found}, but {' and '.join(lacking)} cannot be loaded",
                f"apt install {packages}, or put them on LD_LIBRARY_PATH",
            )
    return said


def ncu(machine: Machine) -> Outcome:
    """Nsight Compute's command line."""
    return _first_that_answers(machine, "ncu", _NCU_PLACES)[0]


def _first_that_answers(
    machine: Machine, name: str, places: Sequence[str]
) -> tuple[Outcome, str | None]:
    """The first candidate that tells its version, and its path; or what is wrong with the first."""
    variable = name.upper()
    tool = {"nsys": "Nsight Systems", "ncu": "Nsight Compute"}[name]
    asked_for = machine.environ.get(variable, "")
    candidates = _candidates(machine, name, places)
    if asked_for:
        found = machine.which(asked_for)
        if found is None:
            wrong = f"the variable {variable} names {short(asked_for)}, which is no program here"
            return problem(wrong, f"set {variable} to the path of {name}, or unset it"), None
        candidates = [found]
    wrong = ""
    for path in candidates:
        answer = machine.run([path, "--version"])
        version = re.search(r"[Vv]ersion:?\s+(\d+(?:\.\d+)+)", answer.text)
        if answer.code == 0 and version:
            return ok(f"{version[1]} ({short(path)})"), path
        said = next((line for line in answer.text.splitlines() if line.strip()), "nothing")
        wrong = wrong or f"{short(path)} --version says {without_paths(said.strip())}"
    if wrong:
        return problem(wrong, f"install {tool}, or name a {name} that works in {variable}"), None
    return absent(
        f"no {name} on PATH, in the CUDA toolkit or in an Nsight folder",
        f"install {tool}, or name it in the variable {variable}",
    ), None


def _candidates(machine: Machine, name: str, places: Sequence[str]) -> list[str]:
    on_path = machine.which(name)
    found = [on_path] if on_path else []
    for root in ("CUDA_HOME", "CUDA_PATH"):
        if machine.environ.get(root):
            found += machine.files(_TOOLKIT[0].format(cuda=machine.environ[root], name=name))
    for place in (_TOOLKIT[1].format(name=name), *places):
        found += machine.files(place)
    return list(dict.fromkeys(found))
