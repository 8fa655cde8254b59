"""harness record on a device: kernels, NVTX ranges and exit codes of real scripts (-m gpu)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.analyze import api_summary, csv_text, kernel_summary
from harness.trace import read_trace
from tests.gpu_support import ON_DEVICE, ROOT, regions_of

pytestmark = ON_DEVICE

START = """
import torch
from torch.cuda import nvtx
x = torch.zeros(1024, device="cuda")
"""

NESTED = (
    START
    + """
x.add_(1)
with nvtx.range("step"):
    x.add_(1)
    with nvtx.range("inner"):
        x.mul_(2)
        x.mul_(2)
    x.add_(1)
torch.cuda.synchronize()
print("mine")
"""
)


class Place:
    """A folder with a script; the harness is run from the checkout, where it is not installed."""

    def __init__(self, folder):
        self.script, self.output = folder / "script.py", folder / "out.parquet"

    def command(self, code, *options):
        self.script.write_text(code)
        own = [sys.executable, "-m", "harness.record", "-o", str(self.output), "--force", *options]
        return [*own, "--", sys.executable, str(self.script)]

    def record(self, code, *options, **environment):
        return subprocess.run(
            self.command(code, *options), cwd=ROOT, env={**os.environ, **environment},
            capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip

    @property
    def trace(self):
        return read_trace(self.output)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def regions_by_kernel(trace):
    """(a word of the kernel's name, name of its region) in start order, of add and mul only."""
    kernels = trace.of_kind("kernel")
    names = kernels.activities["name"].to_pylist()
    found = []
    for name, region in zip(names, regions_of(kernels), strict=True):
        word = "add" if "add" in name.lower() else "mul" if "MulFunctor" in name else ""
        if word:
            found.append((word, region))
    return found


def test_kernels_are_recorded_in_the_nvtx_ranges_of_the_script(place):
    done = place.record(NESTED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine\n")
    trace = place.trace
    assert trace.info.complete, trace.info.incomplete
    assert regions_by_kernel(trace) == [
        ("add", "<outside>"),
        ("add", "step"),
        ("mul", "inner"),
        ("mul", "inner"),
        ("add", "step"),
    ]
    rows = {row["name"]: row for row in trace.regions.to_pylist()}
    assert rows["inner"]["parent"] == rows["step"]["id"]
    assert rows["step"]["start_ns"] < rows["inner"]["start_ns"] < rows["inner"]["end_ns"]
    assert rows["inner"]["end_ns"] < rows["step"]["end_ns"]


def test_regions_of_the_harness_and_nvtx_ranges_nest_in_each_other(place):
    code = START + (
        "from harness import region\n"
        "with nvtx.range('outer'), region('mine'):\n"
        "    x.add_(1)\n"
        "    with nvtx.range('innermost'):\n"
        "        x.add_(1)\n"
    )
    done = place.record(code)
    assert done.returncode == 0, done.stderr
    assert regions_by_kernel(place.trace) == [("add", "mine"), ("add", "innermost")]
    names = place.trace.regions["name"].to_pylist()
    assert sorted(names) == ["<outside>", "innermost", "mine", "outer"]


def test_without_nvtx_there_are_no_ranges(place):
    assert place.record(NESTED, "--no-nvtx").returncode == 0
    assert {region for _, region in regions_by_kernel(place.trace)} == {"<outside>"}
    assert place.trace.regions.num_rows == 1


def test_the_csv_is_the_summary_of_the_trace(place):
    done = place.record(NESTED, "--csv", "--api")
    assert done.returncode == 0, done.stderr
    trace = place.trace
    kernels, calls = csv_text(kernel_summary(trace)), csv_text(api_summary(trace))
    assert done.stdout == f"mine\n{kernels}\n{calls}"
    names = api_summary(trace)["Name"].to_pylist()
    assert {"cudaLaunchKernel", "cudaDeviceSynchronize"} <= set(names)
    assert sum(kernel_summary(trace)["Instances"].to_pylist()) == len(trace.of_kind("kernel"))


GRAPH = (
    START
    + """
graph = torch.cuda.CUDAGraph()
x.add_(1)
torch.cuda.synchronize()
with torch.cuda.graph(graph), nvtx.range("captured"):
    x.mul_(2)
with nvtx.range("replayed"):
    graph.replay()
"""
)


def test_nodes_of_a_graph_belong_to_the_range_of_their_capture(place):
    done = place.record(GRAPH)
    assert done.returncode == 0, done.stderr
    assert regions_by_kernel(place.trace)[-1] == ("mul", "captured")
    nodes = place.trace.activities["graph_node"].to_pylist()
    launched = regions_of(place.trace, "launched_in")
    replayed = [where for node, where in zip(nodes, launched, strict=True) if node]
    assert replayed == ["replayed"]


@pytest.mark.parametrize(
    ("ending", "code"),
    [("raise SystemExit(7)", 7), ("raise ValueError('mine')", 1), ("x.add_(1)", 0)],
)
def test_the_exit_code_is_the_scripts_and_the_trace_is_complete(place, ending, code):
    done = place.record(START + ending)
    assert done.returncode == code, done.stderr
    assert place.trace.info.complete


@pytest.mark.parametrize(
    ("code", "exit_code", "why"),
    [
        ("import torch; torch.ones(3)", 3, "never used CUDA"),
        ("import os\nos.environ['CUDA_VISIBLE_DEVICES'] = ''\nimport torch", 3, "never used CUDA"),
        (START + "import os; os._exit(0)", 3, "without its exit handlers"),
        (START + "import os; os.kill(os.getpid(), 9)", 137, "without its exit handlers"),
        (
            "import torch\nwith torch.profiler.profile():\n    torch.ones(3, device='cuda')",
            3,
            "torch.profiler is running",
        ),
    ],
)
def test_what_cannot_be_recorded_is_said_and_the_script_runs(place, code, exit_code, why):
    done = place.record(code)
    assert done.returncode == exit_code, done.stderr
    assert why in done.stderr.splitlines()[-1]
    assert not place.output.exists()


LOOPS = (
    START
    + """
import time
x.add_(1)
torch.cuda.synchronize()
print("ready", flush=True)
while True:
    x.add_(1)
    time.sleep(0.01)
"""
)


def test_ctrl_c_ends_the_script_and_leaves_a_whole_trace(place):
    with subprocess.Popen(
        place.command(LOOPS), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline() == "ready\n"
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=100)
    assert running.returncode == 130, err
    assert "KeyboardInterrupt" in err
    assert "trace: " in out
    assert place.trace.info.complete, place.trace.info.incomplete
    assert len(place.trace.of_kind("kernel")) > 1


def test_a_process_that_the_script_starts_has_a_trace_of_its_own(place):
    code = START + (
        "import subprocess, sys\n"
        "x.add_(1)\n"
        "if len(sys.argv) == 1:\n"
        "    child = subprocess.Popen([sys.executable, __file__, 'child'])\n"
        "    print(child.pid, child.wait())\n"
    )
    done = place.record(code)
    assert done.returncode == 0, done.stderr
    pid, ended = done.stdout.splitlines()[0].split()
    assert ended == "0"
    other = read_trace(place.output.with_name(f"out.{pid}.parquet"))
    assert len(other.of_kind("kernel")) == len(place.trace.of_kind("kernel"))


def test_a_thread_may_be_the_first_to_use_cuda(place):
    code = (
        "import threading, torch\n"
        "def work():\n"
        "    torch.zeros(8, device='cuda').add_(1)\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "torch.zeros(8, device='cuda').add_(1)\n"
    )
    done = place.record(code)
    assert done.returncode == 0, done.stderr
    assert len(regions_by_kernel(place.trace)) == 2
