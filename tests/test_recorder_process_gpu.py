"""The recorder leaves a process as it found it, however the process goes on (pytest -m gpu)."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from harness.record.cupti import CuptiRecorder
from tests.gpu_support import ON_DEVICE, ROOT, python

pytestmark = ON_DEVICE

START = """
import os, sys, torch
from harness.record.cupti import CuptiRecorder
from harness.record.regions import region
x = torch.zeros(1, device="cuda")
"""

FORK = (
    START
    + """
with CuptiRecorder().record() as recording:
    x.add_(1)
    child = os.fork()
    if child == 0:
        with region("in the child"):
            pass
        {leave}
    else:
        x.add_(1)
        _, status = os.waitpid(child, 0)
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(status) == 7, status
assert recording.trace.info.complete, recording.trace.info.incomplete
assert len(recording.trace) == 2
with CuptiRecorder().record() as again:
    x.add_(1)
assert again.trace.info.complete
print("fine")
"""
)


@pytest.mark.parametrize("leave", ["raise SystemExit(7)", "pass"])
def test_a_fork_inside_a_recording_ends_and_the_parent_records_on(leave):
    done = python(FORK.replace("{leave}", leave))
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


SPAWN = """
import torch.multiprocessing as mp
from harness.record.cupti import CuptiRecorder

def work(queue):
    import torch
    x = torch.zeros(1, device="cuda")
    with CuptiRecorder().record() as recording:
        x.add_(1)
    queue.put((len(recording.trace), recording.trace.info.complete))

if __name__ == "__main__":
    import torch
    context = mp.get_context("spawn")
    queue = context.Queue()
    x = torch.zeros(1, device="cuda")
    with CuptiRecorder().record() as recording:
        child = context.Process(target=work, args=(queue,))
        child.start()
        x.add_(1)
        assert queue.get(timeout=100) == (1, True)
        child.join()
    assert len(recording.trace) == 1
    assert recording.trace.info.complete, recording.trace.info.incomplete
    print("fine")
"""


def test_a_spawned_process_records_beside_its_parent(tmp_path):
    script = tmp_path / "spawning.py"
    script.write_text(SPAWN)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


@pytest.mark.parametrize(
    ("ending", "code"),
    [("os._exit(5)", 5), ("sys.exit(6)", 6), ("raise ValueError('mine')", 1), ("pass", 0)],
)
def test_a_process_that_ends_inside_a_recording_ends_at_once(ending, code):
    body = "recorder = CuptiRecorder().record(); recorder.__enter__(); x.add_(1)\n" + ending
    done = python(START + body)
    assert done.returncode == code, done.stderr


CTRL_C = (
    START
    + """
import time
kept = []
try:
    with CuptiRecorder().record() as recording:
        kept.append(recording)
        x.add_(1)
        print("ready", flush=True)
        while True:
            x.add_(1)
except KeyboardInterrupt:
    trace = kept[0].trace
    assert len(trace) > 1
    assert "KeyboardInterrupt" in trace.info.incomplete[0]
    with CuptiRecorder().record() as again:
        x.add_(1)
    assert again.trace.info.complete, again.trace.info.incomplete
    print("fine")
"""
)


def test_ctrl_c_ends_a_recording_and_the_next_one_works():
    child = subprocess.Popen(
        [sys.executable, "-c", CTRL_C], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=60)
    assert (child.returncode, rest) == (0, "fine\n")


def test_running_out_of_memory_inside_a_region_leaves_a_working_recorder():
    code = (
        START
        + """
try:
    with CuptiRecorder().record() as recording, region("too much"):
        x.add_(1)
        torch.empty(1 << 50, device="cuda")
except torch.cuda.OutOfMemoryError:
    pass
with CuptiRecorder().record() as again:
    x.add_(1)
assert again.trace.info.complete, again.trace.info.incomplete
assert len(again.trace) == 1
print("fine")
"""
    )
    done = python(code)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


TORCH_AFTERWARDS = (
    START
    + """
with CuptiRecorder().record() as recording:
    x.add_(1)
assert recording.trace.info.complete
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
    x.add_(1)
    torch.cuda.synchronize()
print(sum("elementwise" in event.name for event in profile.events()))
"""
)


def test_torch_profiler_records_device_rows_after_the_recorder():
    done = python(TORCH_AFTERWARDS)
    assert done.stdout.splitlines()[-1:] == ["1"], done.stdout + done.stderr


TORCH_BEFORE = (
    START
    + """
from harness.errors import RecorderBusyError
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
    x.add_(1)
try:
    with CuptiRecorder().record() as recording:
        x.add_(1)
except RecorderBusyError as error:
    print("refused", "torch.profiler" in str(error))
else:
    print("recorded", recording.trace.info.complete, len(recording.trace))
"""
)


@pytest.mark.parametrize(
    ("teardown", "expected"), [("0", "refused True"), ("1", "recorded True 1")]
)
def test_after_torch_profiler_the_recorder_refuses_unless_it_has_let_go(teardown, expected):
    done = python(TORCH_BEFORE, env={**os.environ, "TEARDOWN_CUPTI": teardown})
    assert done.stdout.splitlines()[-1:] == [expected], done.stdout + done.stderr


def grown() -> tuple[int, int, int]:
    """Resident memory in KiB, open files, threads."""
    status = Path("/proc/self/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1])
    return (
        resident,
        len(list(Path("/proc/self/fd").iterdir())),
        len(list(Path("/proc/self/task").iterdir())),
    )


def test_ten_thousand_recordings_leave_nothing_behind():
    x = torch.zeros(1, device="cuda")

    def once():
        with CuptiRecorder().record() as recording:
            x.add_(1)
        assert recording.trace.info.complete, recording.trace.info.incomplete
        assert len(recording.trace) == 1

    for _ in range(200):
        once()
    gc.collect()
    resident, files, threads = grown()
    for _ in range(10_000):
        once()
    gc.collect()
    after = grown()
    # 1 KiB a recording would be 10 MiB.
    assert after[0] - resident < 8 << 10, (resident, after)
    assert after[1:] == (files, threads)
