"""Python, torch and the packages beside them."""

from __future__ import annotations

from harness.doctor.machine import Machine, numbers
from harness.doctor.model import Outcome, absent, ok, problem, warning

OLDEST_PYTHON, OLDEST_TORCH = (3, 11), (2, 11)
DEPENDENCIES = {
    "numpy": "2", "scipy": "1.13", "pyarrow": "18", "rich": "14", "click": "8.1", "Jinja2": "3.1.6",
    "cxxfilt": "0.3",
}  # fmt: skip
"""Distribution -> oldest version, as in pyproject.toml; the others have checks of their own."""

INSTALL_TORCH = "pip install 'torch>=2.11' (the build of PyPI is for CUDA 13)"
OLDEST_CUPTI_PYTHON, BEYOND_CUPTI_PYTHON = (13, 0, 1), (13, 5)
PINNED = ((2, 11), (2, 14))
"""First and last torch that pins CUPTI 13.0.85, for which only cupti-python 13.0 resolves."""


def python(machine: Machine) -> Outcome:
    """The interpreter."""
    if numbers(machine.python)[:2] < OLDEST_PYTHON:
        return problem(f"Python {machine.python} is older than 3.11", "use Python 3.11 or newer")
    return ok(machine.python)


def torch(machine: Machine) -> Outcome:
    """PyTorch and the CUDA version it was built for."""
    try:
        facts = machine.torch()
    except ImportError as error:
        return absent(f"torch cannot be imported ({error})", INSTALL_TORCH)
    if numbers(facts.version)[:2] < OLDEST_TORCH:
        return problem(f"torch {facts.version} is older than 2.11", INSTALL_TORCH)
    if not facts.cuda:
        return warning(f"{facts.version}, built without CUDA", f"for a GPU: {INSTALL_TORCH}")
    return ok(f"{facts.version}, built for CUDA {facts.cuda}")


def dependencies(machine: Machine) -> Outcome:
    """The packages without which commands cannot run."""
    wanted = []
    for name, oldest in DEPENDENCIES.items():
        found = machine.package(name)
        if not found or numbers(found) < numbers(oldest):
            wanted.append((name, oldest, found or "not installed"))
    if wanted:
        named = ", ".join(f"{name} {found}" for name, _, found in wanted)
        pip = " ".join(f"'{name}>={oldest}'" for name, oldest, _ in wanted)
        return absent(f"missing or too old: {named}", f"pip install {pip}")
    return ok(", ".join(f"{name} {machine.package(name)}" for name in DEPENDENCIES))


def torch_profiler(machine: Machine) -> Outcome:
    """Whether torch has Kineto."""
    if machine.torch().kineto:
        return ok("this torch is built with Kineto")
    return absent("this torch is built without Kineto", INSTALL_TORCH)


def cupti_python(machine: Machine) -> Outcome:
    """The package with the layouts of CUPTI's records, and whether it fits beside this torch."""
    found = machine.package("cupti-python")
    if not found:
        return absent("cupti-python is not installed", _install_cupti_python(machine))
    machine.structs()  # imports it
    version = numbers(found)
    if version < OLDEST_CUPTI_PYTHON or version[:2] >= BEYOND_CUPTI_PYTHON:
        return warning(f"{found} is outside 13.0.1 to 13.4", _install_cupti_python(machine))
    library = machine.package("nvidia-cuda-cupti")
    if library and version[:2] > numbers(library)[:2]:
        return ok(
            f"{found}, newer than libcupti {library}: works; pip installs such a pair with "
            "--no-deps only"
        )
    return ok(found)


def _install_cupti_python(machine: Machine) -> str:
    first, last = PINNED
    if first <= numbers(machine.torch().version)[:2] <= last:
        return (
            "pip install 'cupti-python==13.0.*' (torch 2.11 to 2.14 pin CUPTI 13.0.85), or a newer "
            "one: pip install --no-deps 'cupti-python<13.5' cuda-bindings cuda-pathfinder"
        )
    return "pip install 'cupti-python>=13.2,<13.5'"


def cuda_bindings(machine: Machine) -> Outcome:
    """NVIDIA's bindings of the driver, which cupti-python and the reading of graphs need."""
    found = {name: machine.package(name) for name in ("cuda-bindings", "cuda-pathfinder")}
    missing = [name for name, version in found.items() if not version]
    if missing:
        return absent(f"{' and '.join(missing)} not installed", f"pip install {' '.join(missing)}")
    cuda = machine.torch().cuda
    if cuda and numbers(found["cuda-bindings"])[:1] != numbers(cuda)[:1]:
        return warning(
            f"cuda-bindings {found['cuda-bindings']} beside torch for CUDA {cuda}",
            f"pip install 'cuda-bindings=={numbers(cuda)[0]}.*'",
        )
    return ok(", ".join(f"{name} {version}" for name, version in found.items()))


def nvtx(machine: Machine) -> Outcome:
    """The package that shows regions to nsys."""
    found = machine.package("nvtx")
    if not found or numbers(found) < (0, 2, 11):
        said = f"nvtx {found} is older than 0.2.11" if found else "nvtx is not installed"
        return absent(said, "pip install 'nvtx>=0.2.11'")
    if machine.environ.get("NVTX_DISABLE"):
        return problem("NVTX_DISABLE is set: no range is emitted", "unset NVTX_DISABLE")
    return ok(found)
