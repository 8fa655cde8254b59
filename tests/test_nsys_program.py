"""nsys is found where the user says, then where NVIDIA puts it, and asked without a shell."""

from __future__ import annotations

import json
import sqlite3

import pytest

from harness import programs
from harness.errors import (
    HarnessError,
    InputError,
    MissingPackageError,
    NoSignalError,
    TraceFormatError,
)
from harness.programs import Program, candidates, find_program
from harness.record.files.nsys.program import find_nsys, run_nsys
from harness.record.files.nsys.rep import read_nsys_rep
from tests.fake_nsys import fake_nsys


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """A machine without NVIDIA's folders."""
    monkeypatch.delenv("NSYS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "files_like", lambda _pattern: [])
    (tmp_path / "bin").mkdir()


@pytest.fixture
def export(tmp_path):
    """A small export with two kernels of two processes."""
    return small_export(tmp_path / "export.sqlite")


def small_export(path):
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT);
            INSERT INTO StringIds VALUES (1, 'kernel_a'), (2, '_Z1bv');
            CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (
                start INTEGER, end INTEGER, deviceId INTEGER, contextId INTEGER,
                streamId INTEGER, correlationId INTEGER, globalPid INTEGER,
                demangledName INTEGER, shortName INTEGER, mangledName INTEGER,
                gridX INTEGER, gridY INTEGER, gridZ INTEGER,
                blockX INTEGER, blockY INTEGER, blockZ INTEGER, registersPerThread INTEGER,
                staticSharedMemory INTEGER, dynamicSharedMemory INTEGER);
            """
        )
        rows = [
            (100, 300, 0, 1, 7, 1, 11 << 24, 1, 1, 1, 4, 1, 1, 128, 1, 1, 32, 0, 0),
            (200, 250, 1, 1, 7, 1, 12 << 24, 2, 2, 2, 8, 1, 1, 64, 1, 1, 16, 0, 0),
        ]
        marks = ",".join("?" * 19)
        database.executemany(f"INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES ({marks})", rows)
    database.close()
    return path


def calls(folder):
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_nsys_on_path_is_found_and_says_its_version(tmp_path):
    fake_nsys(tmp_path / "bin", None)
    found = find_nsys()
    assert found == Program("nsys", str(tmp_path / "bin" / "nsys"), "2025.3.1.90", "PATH")
    assert str(found).startswith("nsys 2025.3.1.90 (")


def test_the_variable_comes_before_path(tmp_path, monkeypatch):
    fake_nsys(tmp_path / "bin", None)
    (tmp_path / "other").mkdir()
    mine = fake_nsys(tmp_path / "other", None)
    monkeypatch.setenv("NSYS", str(mine))
    assert (find_nsys().path, find_nsys().found_by) == (str(mine), "the variable NSYS")


def test_a_variable_that_names_nothing_is_an_error_and_path_no_fallback(tmp_path, monkeypatch):
    fake_nsys(tmp_path / "bin", None)
    monkeypatch.setenv("NSYS", str(tmp_path / "gone"))
    with pytest.raises(InputError, match="the variable NSYS names"):
        find_nsys()


def test_nvidias_folders_are_searched_newest_first(tmp_path, monkeypatch):
    (tmp_path / "opt").mkdir()
    inside = fake_nsys(tmp_path / "opt", None)
    wanted = "/opt/nvidia/nsight-compute*/*/host/*/nsys"
    monkeypatch.setattr(programs, "files_like", lambda p: [str(inside)] if p == wanted else [])
    asked = lambda name, environ: candidates(name, environ, files=programs.files_like)  # noqa: E731
    monkeypatch.setattr(programs, "candidates", asked)
    assert (find_nsys().path, find_nsys().found_by) == (str(inside), "an NVIDIA folder")


def test_the_order_of_places_is_path_toolkit_then_nsight():
    seen = []
    found = candidates(
        "nsys",
        {"CUDA_HOME": "/cuda"},
        which=lambda name: f"/usr/bin/{name}",
        files=lambda pattern: seen.append(pattern) or [],
    )
    assert found == ["/usr/bin/nsys"]
    assert seen[:2] == ["/cuda/bin/nsys", "/usr/local/cuda*/bin/nsys"]
    assert seen[2].startswith("/opt/nvidia/nsight-systems")
    assert any("nsight-compute" in pattern and "host" in pattern for pattern in seen)


def test_without_nsys_the_error_says_how_to_get_it():
    with pytest.raises(MissingPackageError, match="variable NSYS") as raised:
        find_program("nsys", {})
    assert raised.value.exit_code == 2


def test_a_program_that_does_not_answer_is_passed_over_and_named(tmp_path):
    broken = tmp_path / "bin" / "nsys"
    broken.write_text("#!/bin/false\n")
    broken.chmod(0o755)
    with pytest.raises(MissingPackageError, match="does not answer"):
        find_nsys()


def test_a_report_is_exported_into_a_folder_that_is_gone_afterwards(tmp_path, export):
    fake_nsys(tmp_path / "bin", None)
    report = tmp_path / "it's; $(a) report.nsys-rep"
    report.write_bytes(export.read_bytes())
    trace = read_nsys_rep(report)
    assert trace.activities["process"].to_pylist() == [11, 12]
    assert trace.info.notes[0].startswith(f"exported from {report.name} by nsys 2025.3.1.90")
    assert trace.info.chosen_because == f"read from {report.name}"
    assert trace.info.versions["nsys export"] == "2025.3.1.90"
    words = calls(tmp_path / "bin")[-1]
    assert words[:5] == ["export", "--type", "sqlite", "--force-overwrite", "true"]
    assert words[-1] == str(report)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("harness-nsys-")]


def test_a_report_that_nsys_cannot_read_says_what_nsys_says(tmp_path):
    fake_nsys(tmp_path / "bin", None, export_fails=True)
    report = tmp_path / "x.nsys-rep"
    report.write_bytes(b"...")
    with pytest.raises(InputError, match="nsys export failed: Failed to open report"):
        read_nsys_rep(report)


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        ("DELETE FROM CUPTI_ACTIVITY_KIND_KERNEL", NoSignalError, "holds no kernel"),
        ("DROP TABLE CUPTI_ACTIVITY_KIND_KERNEL", HarnessError, "x.nsys-rep"),
        ("", TraceFormatError, "is no SQLite file"),
    ],
)
def test_what_is_wrong_with_an_export_is_said_of_the_report(
    tmp_path, export, statement, kind, said
):
    fake_nsys(tmp_path / "bin", None)
    report = tmp_path / "x.nsys-rep"
    with sqlite3.connect(export) as database:
        database.execute(statement)
    database.close()
    report.write_bytes(export.read_bytes() if statement else b"damaged")
    with pytest.raises(kind, match=said) as raised:
        read_nsys_rep(report)
    assert str(report) in raised.value.what
    assert "report.sqlite" not in str(raised.value)


def test_a_report_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        read_nsys_rep(tmp_path / "none.nsys-rep")


def test_the_nsys_of_nsight_compute_lacking_libraries_gets_the_remedy(tmp_path):
    folder = tmp_path / "nsight-compute" / "host"
    folder.mkdir(parents=True)
    path = folder / "nsys"
    path.write_text("#!/bin/sh\necho 'libdw.so.1: cannot open shared object file'\nexit 127\n")
    path.chmod(0o755)
    with pytest.raises(HarnessError, match="apt install libdw1 libelf1"):
        run_nsys(Program("nsys", str(path), "1.0", "PATH"), ["export"], 10)
