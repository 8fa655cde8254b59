"""The programs nsys and ncu: found where, and do they answer."""

from __future__ import annotations

from harness.doctor.machine import Machine, short
from harness.doctor.model import Outcome, absent, ok, problem
from harness.programs import TOOLS, VERSION, candidates
from harness.report.private import without_paths

_LIBRARIES_OF_NSYS = {"libdw.so.1": "libdw1", "libelf.so.1": "libelf1"}
"""Shared library -> Debian package; the nsys inside an Nsight Compute install lacks both."""


def nsys(machine: Machine) -> Outcome:
    """Nsight Systems' command line."""
    said, path = _first_that_answers(machine, "nsys")
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
    return _first_that_answers(machine, "ncu")[0]


def _first_that_answers(machine: Machine, name: str) -> tuple[Outcome, str | None]:
    """The first candidate that tells its version, and its path; or what is wrong with the first."""
    variable = name.upper()
    tool = TOOLS[name]
    asked_for = machine.environ.get(variable, "")
    found_here = candidates(name, machine.environ, machine.which, machine.files)
    if asked_for:
        found = machine.which(asked_for)
        if found is None:
            wrong = f"the variable {variable} names {short(asked_for)}, which is no program here"
            return problem(wrong, f"set {variable} to the path of {name}, or unset it"), None
        found_here = [found]
    wrong = ""
    for path in found_here:
        answer = machine.run([path, "--version"])
        version = VERSION.search(answer.text)
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
