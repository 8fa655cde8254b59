"""The verb doctor: findings, fixes and exit codes, on this machine and on made-up ones."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from harness.cli import run_command
from harness.doctor import command, process
from harness.doctor.command import doctor
from harness.doctor.examine import CHECKS, examine
from harness.doctor.libcupti import NVTX_ENTRY
from harness.doctor.machine import Answer, Machine, run_program
from harness.doctor.model import Status
from harness.doctor.process import LAUNCHES, Recorded, TorchFacts
from harness.doctor.profilers import neighbours
from harness.doctor.terminal import print_report
from harness.errors import MissingDeviceError, MissingPackageError
from harness.measure import nvml as nvml_module
from harness.measure.nvml import Nvml
from harness.record.cupti.errors import busy
from harness.record.cupti.layout import documented_sizes
from ops.spec import Availability

ROOT = Path(__file__).parents[1]
H200 = TorchFacts("2.11.0+cu130", "13.0", ("NVIDIA H200 (sm_90)",))
LIBCUPTI = "/home/somebody/venv/nvidia/cu13/lib/libcupti.so.13"
TOOLKIT = "/usr/local/cuda/lib64/libcupti.so.13"
PROTON = "/home/somebody/venv/triton/backends/nvidia/lib/cupti/libcupti.so"
DRIVER_FILES = {
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04",
    "/proc/driver/nvidia/params": "RmProfilingAdminOnly: 0\n",
    "/proc/self/status": "CapEff:\t0000000000000000\n",
}
VERSIONS = {
    "numpy": "2.5.2", "scipy": "1.17.1", "pyarrow": "25.0.1", "rich": "15.0.0", "click": "8.5.1",
    "Jinja2": "3.1.6", "cxxfilt": "0.3.0", "nvtx": "0.2.17", "nvidia-ml-py": "13.615.71",
    "cupti-python": "13.0.1", "cuda-bindings": "13.3.1", "cuda-pathfinder": "1.9.0",
    "nvidia-cuda-cupti": "13.0.85",
}  # fmt: skip
SNAPSHOT = {
    "sm_clock_mhz": 1980, "memory_clock_mhz": 3201, "temperature_c": 35, "power_limit_w": 700.0,
    "throttled": False, "clock_event_reasons": [], "persistence": True,
}  # fmt: skip
WHOLE = {"mig": False, "virtualisation": "none", "other_processes": 0}


def fake_cupti(version=130001, holder="", sizes=None, error=None):
    def subscribe():
        if error is not None:
            raise error
        return 1

    return SimpleNamespace(
        version=lambda: version,
        holder=lambda: holder,
        record_sizes=lambda: documented_sizes(version) if sizes is None else sizes,
        subscribe=subscribe,
        unsubscribe=lambda handle: None,
    )


def fake_nvml(energy=123, snapshot=(), sharing=()):
    return SimpleNamespace(
        snapshot=lambda: {**SNAPSHOT, **dict(snapshot)},
        sharing=lambda: {**WHOLE, **dict(sharing)},
        energy_mj=lambda: energy,
        power_limit_w=lambda index: 700.0,
    )


def program(command):
    name = Path(command[0]).name
    return Answer(0, {"nsys": "NVIDIA Nsight Systems version 2025.3.1.90-x"}.get(
        name, "NVIDIA (R) Nsight Compute Command Line Profiler\nVersion 2025.3.1.0 (build 1)"
    ))  # fmt: skip


def machine(**different):
    """One H200 on which everything works, but for what is different."""
    healthy = {
        "environ": {},
        "python": "3.12.3",
        "text": DRIVER_FILES.get,
        "content": lambda path: b"..." + NVTX_ENTRY,
        "files": lambda pattern: [],
        "which": lambda name: f"/usr/local/cuda/bin/{name}",
        "run": program,
        "package": lambda name: VERSIONS.get(name, ""),
        "loadable": lambda library: True,
        "torch": lambda: H200,
        "profiler_running": lambda: False,
        "driver_cuda": lambda: "13.0",
        "mapped": lambda: [LIBCUPTI],
        "cupti": fake_cupti,
        "structs": process.record_structs,
        "record": lambda: Recorded(LAUNCHES, LAUNCHES, 0, ()),
        "nvml": fake_nvml,
        "operators": lambda: ["dsa"],
        "frameworks": lambda: ["transformers", "vllm"],
        "framework": lambda name: Availability(True, f"{name} 1.0"),
    }
    assert set(healthy) == {field.name for field in dataclasses.fields(Machine)}
    return Machine(**{**healthy, **different})


def without(*names):
    return lambda name: "" if name in names else VERSIONS.get(name, "")


def versions(**changed):
    found = {**VERSIONS, **{name.replace("_", "-"): value for name, value in changed.items()}}
    return lambda name: found.get(name, "")


def raising(error):
    def answer(*args):
        raise error

    return answer


def finding(report, name):
    return next(one for one in report.findings if one.name == name)


def works(report, name):
    return next(one.works for one in report.capabilities if one.name == name)


def shown(report, width):
    out = io.StringIO()
    print_report(report, Console(file=out, width=width))
    return out.getvalue()


def test_on_a_healthy_gpu_machine_everything_works():
    report = examine(machine())
    assert {one.status for one in report.findings} == {Status.OK}
    assert all(one.works for one in report.capabilities)
    assert report.exit_code == 0
    assert report.summary == "live kernel recording works here (NVIDIA H200 (sm_90))"


# what is different, which finding shows it, its status, part of its fix, the exit code
NO_GPU = TorchFacts("2.11.0+cu130", "13.0")
CASES = {
    "no driver": (
        {"driver_cuda": lambda: "unknown", "text": {}.get, "torch": lambda: NO_GPU},
        "driver", "absent", "machine with an NVIDIA GPU", 2),
    "libcuda does not answer": (
        {"driver_cuda": lambda: "unknown", "torch": lambda: NO_GPU},
        "driver", "problem", "NVIDIA_DRIVER_CAPABILITIES=compute,utility", 2),
    "driver too old": (
        {"driver_cuda": lambda: "12.8", "torch": lambda: NO_GPU},
        "driver and CUDA", "problem", "driver for CUDA 13 (580 up)", 2),
    "driver a little older": (
        {"driver_cuda": lambda: "13.0", "torch": lambda: TorchFacts("2.15", "13.2", H200.devices)},
        "driver and CUDA", "warning", "driver for CUDA 13.2", 0),
    "torch without CUDA": (
        {"torch": lambda: TorchFacts("2.13.0+cpu"), "mapped": lambda: []},
        "CUDA device", "absent", "pip install 'torch>=2.11'", 2),
    "device hidden": (
        {"torch": lambda: NO_GPU, "environ": {"CUDA_VISIBLE_DEVICES": ""}},
        "CUDA device", "absent", "unset CUDA_VISIBLE_DEVICES", 2),
    "device refused": (
        {"torch": lambda: dataclasses.replace(NO_GPU, complaint="CUDA init: error 802")},
        "CUDA device", "problem", "nvidia-smi -L", 2),
    "torch missing": (
        {"torch": raising(ImportError("No module named 'torch'"))},
        "torch", "absent", "pip install 'torch>=2.11'", 2),
    "torch too old": (
        {"torch": lambda: dataclasses.replace(H200, version="2.9.1+cu130")},
        "torch", "problem", "torch>=2.11", 2),
    "no Kineto": (
        {"torch": lambda: dataclasses.replace(H200, kineto=False)},
        "torch.profiler", "absent", "torch>=2.11", 0),
    "dependency missing": (
        {"package": without("pyarrow")}, "dependencies", "absent", "pip install 'pyarrow>=18'", 2),
    "Python too old": ({"python": "3.10.1"}, "Python", "problem", "3.11", 2),
    "two libcupti": (
        {"mapped": lambda: [LIBCUPTI, TOOLKIT]},
        "libcupti", "warning", "LD_LIBRARY_PATH", 0),
    "Proton": (
        {"mapped": lambda: [LIBCUPTI, PROTON]},
        "libcupti", "problem", "does not import triton.profiler", 3),
    "libcupti of CUDA 12": (
        {"cupti": lambda: fake_cupti(120900)}, "libcupti version", "problem", "torch>=2.11", 2),
    "libcupti of the future": (
        {"cupti": lambda: fake_cupti(130700)}, "libcupti version", "warning", "nsys", 0),
    "other record sizes": (
        {"cupti": lambda: fake_cupti(sizes={**documented_sizes(130001), 10: 240})},
        "record layouts", "warning", "compare a recording with nsys", 0),
    "records smaller than any layout": (
        {"cupti": lambda: fake_cupti(sizes={10: 8})},
        "record layouts", "absent", "pip install 'cupti-python", 2),
    "subscription held, by name": (
        {"cupti": lambda: fake_cupti(holder="Nsight Systems")},
        "CUPTI subscription", "problem", "run without it", 3),
    "subscription held, nameless": (
        {"cupti": lambda: fake_cupti(error=busy())},
        "CUPTI subscription", "problem", "in a new process", 3),
    "torch.profiler runs": (
        {"profiler_running": lambda: True},
        "other profilers", "problem", "outside torch.profiler", 3),
    "busy in the self-test": (
        {"record": raising(busy("Proton"))}, "live self-test", "problem", "run without it", 3),
    "records dropped": (
        {"record": lambda: Recorded(2, 2, 1, ("CUPTI dropped 1 record",))},
        "live self-test", "problem", "--json", 2),
    "kernels without a region": (
        {"record": lambda: Recorded(3, 0, 0, ())}, "live self-test", "problem", "report it", 2),
    "cupti-python missing, torch pins 13.0": (
        {"package": without("cupti-python")},
        "cupti-python", "absent", "'cupti-python==13.0.*'", 2),
    "cupti-python missing, newer torch": (
        {"package": without("cupti-python"),
         "torch": lambda: TorchFacts("2.15.0", "13.0", H200.devices)},
        "cupti-python", "absent", "'cupti-python>=13.2,<13.5'", 2),
    "cupti-python cannot be imported": (
        {"structs": raising(MissingPackageError("cannot be imported", fix="pip install numpy"))},
        "cupti-python", "absent", "pip install numpy", 2),
    "cupti-python untried": (
        {"package": versions(cupti_python="13.6.0")}, "cupti-python", "warning", "13.0.*", 0),
    "cuda-pathfinder missing": (
        {"package": without("cuda-pathfinder")},
        "cuda-bindings", "absent", "pip install cuda-pathfinder", 2),
    "cuda-bindings of CUDA 12": (
        {"package": versions(cuda_bindings="12.9.0")},
        "cuda-bindings", "warning", "'cuda-bindings==13.*'", 0),
    "nvtx missing": ({"package": without("nvtx")}, "nvtx", "absent", "pip install 'nvtx", 0),
    "NVTX switched off": (
        {"environ": {"NVTX_DISABLE": "1"}}, "nvtx", "problem", "unset NVTX_DISABLE", 0),
    "NVTX injected elsewhere": (
        {"environ": {"NVTX_INJECTION64_PATH": "/opt/n/libToolsInjection64.so"}},
        "NVTX to CUPTI", "problem", "unset NVTX_INJECTION64_PATH", 0),
    "libcupti takes no NVTX": (
        {"content": lambda path: b""}, "NVTX to CUPTI", "absent", "torch>=2.11", 0),
    "NVML missing": (
        {"nvml": raising(MissingPackageError("no NVML", fix="pip install 'nvidia-ml-py>=12'"))},
        "NVML", "absent", "nvidia-ml-py>=12", 0),
    "NVML does not start": (
        {"nvml": raising(MissingDeviceError("NVML does not start", fix="get a driver"))},
        "NVML", "absent", "get a driver", 0),
    "no energy counter": (
        {"nvml": lambda: fake_nvml(energy=None)}, "energy counter", "absent", "whole", 0),
    "throttled": (
        {"nvml": lambda: fake_nvml(
            snapshot={"throttled": True, "clock_event_reasons": ["hw_thermal"]})},
        "conditions", "warning", "let the card cool", 0),
    "MIG slice": (
        {"nvml": lambda: fake_nvml(sharing={"mig": True})}, "sharing", "warning", "whole GPU", 0),
    "vGPU": (
        {"nvml": lambda: fake_nvml(sharing={"virtualisation": "vgpu"})},
        "sharing", "warning", "whole GPU", 0),
    "neighbour on the card": (
        {"nvml": lambda: fake_nvml(sharing={"other_processes": 2})},
        "sharing", "warning", "nobody else uses", 0),
    "no persistence": (
        {"nvml": lambda: fake_nvml(snapshot={"persistence": False})},
        "persistence", "warning", "nvidia-smi -pm 1", 0),
    "launches block": (
        {"environ": {"CUDA_LAUNCH_BLOCKING": "1"}},
        "variables", "warning", "unset CUDA_LAUNCH_BLOCKING", 0),
    "torch.profiler tears CUPTI down": (
        {"environ": {"TEARDOWN_CUPTI": "1"}},
        "TEARDOWN_CUPTI", "warning", "unset TEARDOWN_CUPTI", 0),
    "under nsys": (
        {"environ": {"NSYS_PROFILING_SESSION_ID": "1"}},
        "other profilers", "warning", "without this profiler", 0),
    "counters for administrators": (
        {"text": {**DRIVER_FILES, "/proc/driver/nvidia/params": "RmProfilingAdminOnly: 1"}.get},
        "counters", "problem", "NVreg_RestrictProfilingToAdminUsers=0", 0),
    "framework missing": (
        {"framework": lambda name: Availability(False, f"{name} is not installed", "run pip")},
        "vllm", "absent", "run pip", 0),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_finding_tells_what_is_wrong_and_names_the_fix(case):
    different, name, status, fix, exit_code = case
    report = examine(machine(**different))
    found = finding(report, name)
    assert (found.status, report.exit_code) == (status, exit_code), found
    assert fix in found.fix
    assert found.found
    if exit_code:
        assert name in [one.name for one in report.live_recording.blockers]


ANSWERS = [
    field.name for field in dataclasses.fields(Machine) if field.name not in ("environ", "python")
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_unexpected_exception_becomes_a_finding(answer):
    report = examine(machine(**{answer: raising(RuntimeError("boom in /home/somebody/x.py"))}))
    assert len(report.findings) >= len(CHECKS)
    if answer not in ("files", "loadable"):  # which are not asked where all is well
        said = [one for one in report.findings if "RuntimeError: boom" in one.found]
        assert said
        assert {one.status for one in said} == {Status.PROBLEM}
        assert all("--debug" in one.fix and "/home" not in one.found for one in said)


def test_debug_shows_the_traceback_of_a_failing_check(capsys):
    examine(machine(record=raising(RuntimeError("boom"))), debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_counters_for_administrators_stop_ncu_and_nothing_else():
    files = {**DRIVER_FILES, "/proc/driver/nvidia/params": "RmProfilingAdminOnly: 1"}
    report = examine(machine(text=files.get))
    assert [one.name for one in report.capabilities if not one.works] == ["ncu"]
    files["/proc/self/status"] = "CapEff:\t000001ffffffffff\n"
    assert finding(examine(machine(text=files.get)), "counters").status == "ok"


def test_without_a_driver_only_what_needs_no_gpu_works():
    nothing = raising(MissingDeviceError("NVML does not start", fix="get a driver"))
    report = examine(
        machine(
            driver_cuda=lambda: "unknown", text={}.get, torch=lambda: NO_GPU, nvml=nothing,
            framework=lambda name: Availability(name == "transformers", name, "a GPU"),
        )
    )  # fmt: skip
    able = {one.name for one in report.capabilities if one.works}
    assert able == {
        "recorder dispatch", "regions shown to nsys as NVTX", "framework transformers",
    }  # fmt: skip
    assert report.live_recording.blockers[0].name == "driver"


def test_a_newer_cupti_python_beside_an_older_libcupti_is_all_right():
    found = finding(examine(machine(package=versions(cupti_python="13.4.0"))), "cupti-python")
    assert found.status == "ok"
    assert "--no-deps" in found.found


def test_something_missing_outranks_another_profiler_in_the_exit_code():
    held = lambda: fake_cupti(error=busy())  # noqa: E731
    assert examine(machine(cupti=held)).exit_code == 3
    assert examine(machine(cupti=held, package=without("cupti-python"))).exit_code == 2


def test_several_gpus_are_counted():
    eight = dataclasses.replace(H200, devices=H200.devices * 8)
    report = examine(machine(torch=lambda: eight))
    assert finding(report, "CUDA device").found == "8 x NVIDIA H200 (sm_90)"
    assert finding(report, "NVML devices").found.startswith("8 of 8")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"NSYS": "/opt/nsys"}, ""),
        ({"NSYS_PROFILING_SESSION_ID": "7"}, "nsys (NSYS_PROFILING_SESSION_ID)"),
        ({"NV_NSIGHT_INJECTION_PORT_BASE": "1"}, "ncu"),
        ({"NV_SANITIZER_INJECTION_PORT_RANGE_BEGIN": "1"}, "compute-sanitizer"),
        ({"CUDA_INJECTION64_PATH": "/opt/n/libToolsInjection64.so"}, "libToolsInjection64.so"),
        ({"LD_PRELOAD": "/lib/a.so:/opt/libTreeLauncherTargetInjection.so"}, "TreeLauncher"),
        ({"LD_PRELOAD": "/lib/libjemalloc.so.2"}, ""),
        ({"KINETO_USE_DAEMON": "1"}, "dynolog"),
    ],
)
def test_profilers_are_known_by_what_they_set(environ, named):
    found = "; ".join(neighbours(environ))
    assert named in found
    assert bool(found) == bool(named)
    assert "/opt" not in found


def script(path, text, code=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_nsys_is_found_where_the_variable_nsys_says(tmp_path):
    path = script(tmp_path / "tools" / "bin" / "nsys", "NVIDIA Nsight Systems version 2025.5.1.2")
    found = finding(
        examine(machine(environ={"NSYS": path}, which=Machine().which, run=run_program)), "nsys"
    )
    assert (found.status, found.found) == ("ok", "2025.5.1.2 (tools/bin/nsys)")


def test_a_variable_nsys_that_names_nothing_is_a_problem(tmp_path):
    environ = {"NSYS": str(tmp_path / "nsys")}
    report = examine(machine(environ=environ, which=Machine().which))
    assert finding(report, "nsys").status == "problem"
    assert "unset it" in finding(report, "nsys").fix
    assert not works(report, "nsys as second witness")


def test_the_first_nsys_that_answers_is_taken(tmp_path):
    broken = script(tmp_path / "a" / "nsys", "no installation found", code=1)
    good = script(tmp_path / "b" / "nsys", "NVIDIA Nsight Systems version 2024.1.1.59")
    found = finding(
        examine(machine(which=lambda name: broken, files=lambda place: [good], run=run_program)),
        "nsys",
    )
    assert found.found.startswith("2024.1.1.59")
    only = finding(examine(machine(which=lambda name: broken, run=run_program)), "nsys")
    assert only.status == "problem"
    assert "no installation found" in only.found


def test_nsys_inside_nsight_compute_needs_two_libraries():
    inside = "/opt/nvidia/nsight-compute/2025.3.1/host/target-linux-x64/nsys"
    found = finding(
        examine(machine(which=lambda name: inside, loadable=lambda library: False)), "nsys"
    )
    assert found.status == "problem"
    assert "apt install libdw1 libelf1" in found.fix


def test_without_nsys_and_ncu_the_fix_names_the_variables():
    report = examine(machine(which=lambda name: None))
    assert "variable NSYS" in finding(report, "nsys").fix
    assert "variable NCU" in finding(report, "ncu").fix


def test_what_stops_several_checks_is_told_once():
    report = examine(machine(cupti=raising(busy("nsys")), record=raising(busy("nsys"))))
    told = [one for one in report.findings if one.busy]
    assert [one.name for one in told] == [
        "libcupti version", "record layouts", "CUPTI subscription", "live self-test",
    ]  # fmt: skip
    assert [bool(one.fix) for one in told] == [True, False, False, False]
    assert [one.name for one in report.live_recording.blockers] == ["libcupti version"]
    assert report.exit_code == 3


@pytest.mark.parametrize("width", [80, 140])
def test_the_report_fits_the_terminal_and_ends_with_what_works(width):
    busy_machine = machine(
        cupti=lambda: fake_cupti(error=busy("nsys")), mapped=lambda: [LIBCUPTI, TOOLKIT]
    )
    text = shown(examine(busy_machine), width)
    lines = text.splitlines()
    assert " ".join(text.split()).startswith(
        "live kernel recording does not work here: another profiler holds CUPTI; "
        "1 problem; 1 warning Python Python ok"
    )
    assert max(len(line) for line in lines) <= width
    ending = text[text.index("what works here") :]
    assert "in the way: CUPTI subscription" in ending
    assert "recorder dispatch" in ending
    assert "/home" not in text
    assert "cu13/lib/libcupti.so.13" in text


def test_findings_that_only_follow_share_a_line():
    text = shown(examine(machine(torch=lambda: NO_GPU)), 140)
    assert text.count("there is no CUDA device") == 3


def test_the_command_prints_json_and_returns_the_exit_code(capsys, monkeypatch):
    held = machine(cupti=lambda: fake_cupti(error=busy()))
    monkeypatch.setattr(command, "Machine", lambda: held)
    assert run_command(doctor, ["--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["exit_code"] == 3
    live = found["capabilities"][0]
    assert live["in_the_way"] == ["CUPTI subscription"]
    assert not live["works"]
    assert "TEARDOWN_CUPTI=1" in live["fixes"][0]
    assert {"topic", "name", "status", "found", "fix", "busy"} == set(found["findings"][0])


def run_here(*arguments, **environ):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environ},
    )


def test_the_command_runs_on_this_machine_whatever_it_is():
    done = run_here("-m", "harness.doctor", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"] in (0, 2, 3)
    assert not [one for one in found["findings"] if "the check failed" in one["found"]]
    assert "Traceback" not in done.stderr


def test_the_verb_is_known_to_the_console_script_and_help_needs_no_torch():
    code = "import sys; from harness.cli import main\ntry: main(['doctor', '--help'])\n"
    done = run_here("-c", code + "except SystemExit: print('torch' in sys.modules)")
    assert done.stdout.startswith("Usage: ")
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize(
    ("uuid", "mode", "expected"),
    [
        ("GPU-a", 1, {"mig": False, "virtualisation": "passthrough", "other_processes": 1}),
        ("GPU-a", 9, {"mig": False, "virtualisation": "9", "other_processes": 1}),
        ("MIG-a", 2, {"mig": True, "virtualisation": None, "other_processes": 1}),
    ],
)
def test_nvml_tells_who_shares_the_card(monkeypatch, uuid, mode, expected):
    errors = {
        name: type(name, (Exception,), {})
        for name in ("NVMLError", "NVMLError_NotSupported", "NVMLError_NoPermission",
                     "NVMLError_FunctionNotFound")
    }  # fmt: skip
    processes = [SimpleNamespace(pid=os.getpid()), SimpleNamespace(pid=-1)]
    package = SimpleNamespace(
        **errors,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetVirtualizationMode=lambda handle: mode,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: processes,
    )
    monkeypatch.setattr(nvml_module, "device_uuid", lambda device: uuid)
    assert Nvml(package).sharing() == expected


@pytest.mark.gpu
def test_on_a_gpu_the_live_self_test_records_every_kernel():
    done = run_here("-m", "harness.doctor", "--json")
    found = json.loads(done.stdout)
    findings = {one["name"]: one for one in found["findings"]}
    assert findings["live self-test"]["status"] == "ok", findings["live self-test"]
    assert f"{LAUNCHES} of {LAUNCHES} kernels" in findings["live self-test"]["found"]
    assert findings["CUPTI subscription"]["status"] == "ok"
    assert done.returncode == 0, found["summary"]
