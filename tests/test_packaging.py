"""The wheel holds both top-level packages and what they need, and works without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy: building leaves files beside what it builds
    for package in ("harness", "ops"):
        shutil.copytree(ROOT / package, source / package)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_ships_both_packages_their_types_and_the_report_template(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "harness/py.typed",
        "ops/py.typed",
        "harness/report/templates/report.md.j2",
        "harness/record/cupti/recorder.py",
        "ops/adapters/transformers/build.py",
    }
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_the_command_runs_from_the_wheel_alone(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    arguments = ["--op", "dsa", "--tp", "8", "--phase", "generation", "--kv-len", "128"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "harness.compare", *arguments, "--framework", "transformers"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr
    assert "VERDICT" in done.stdout


def test_importing_the_package_touches_no_vendor_library():
    vendors = ("torch", "cupti", "nvtx", "pynvml", "vllm", "transformers")
    code = f"import sys, harness, ops.registry; print([m for m in {vendors} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
