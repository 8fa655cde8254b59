"""The drop-in on a real card: memory, power, exceptions, a collector that is not edited.

No figure is asserted that says how fast anything is.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest
import torch

from harness import align_op, benchmark_with_power
from harness.align.model import Verdict
from tests.drop_in_support import collector_on_path, sidecar_of
from tests.gpu_support import ON_DEVICE, ROOT, python

pytestmark = ON_DEVICE

HELPER = "collector.helper"
MIB = 1 << 20
PATHS = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
DECIDED = {Verdict.ALIGNED, Verdict.INCONCLUSIVE}
"""What equal sides may be judged: a latency of a few microseconds may be too noisy to decide."""


@pytest.fixture
def collector(monkeypatch):
    yield from collector_on_path(monkeypatch)


def used_bytes():
    """Memory of the card that anybody uses, beyond what torch only caches."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return total - free


def operator(rows, width=1024, scratch_mib=8):
    """A product with an activation and scratch that a graph's pool has to hold."""
    x = torch.randn(rows, width, device="cuda", dtype=torch.bfloat16)
    weight = torch.randn(width, width, device="cuda", dtype=torch.bfloat16)

    def call():
        scratch = torch.ones(scratch_mib * MIB, device="cuda", dtype=torch.int8)
        return torch.nn.functional.silu(x @ weight) + scratch[0]

    return call


def waiting():
    x = torch.randn(1024, device="cuda")
    return lambda: x * x.sum().item()


def test_500_captures_do_not_grow_the_memory_of_the_device():
    def capture(number):
        # other sizes each time, so that no cached block fits by chance
        call = operator(16 * (1 + number % 7), scratch_mib=4 + number % 13)
        with benchmark_with_power("cuda", call, 1, 1, measure_power=False) as result:
            assert result["used_cuda_graph"]

    for number in range(13):  # modules, cuBLAS workspaces
        capture(number)
    before = used_bytes()
    for number in range(500):
        capture(number)
    assert used_bytes() - before <= 64 * MIB


def test_failed_captures_do_not_grow_it_either():
    def fail():
        call = waiting()
        with (
            ExitStack() as body,
            pytest.warns(RuntimeWarning, match="timed eagerly"),
        ):
            body.enter_context(benchmark_with_power("cuda", call, 1, 1, allow_graph_fail=True))

    for _ in range(5):
        fail()
    before = used_bytes()
    for _ in range(50):
        fail()
    assert used_bytes() - before <= 64 * MIB


@pytest.mark.parametrize("device", [torch.device("cuda"), torch.device("cuda", 0), "cuda:0", 0])
@pytest.mark.parametrize("graph", [True, False])
def test_power_is_measured_on_a_device_of_any_spelling(device, graph):
    with benchmark_with_power(
        device,
        operator(4096, 4096),
        repeat_n=2,
        measure_power=True,
        power_min_duration=0.5,
        use_cuda_graph=graph,
    ) as result:
        pass
    assert result["used_cuda_graph"] is graph
    if result["power_stats"] is None:  # the reason is that of the card, and is named
        assert any(note.startswith("power is not measured") for note in result["notes"])
        return
    assert result["power_stats"].keys() == {"power", "power_limit"}
    assert result["power_stats"]["power"] > 0
    assert result["energy_j"] > 0
    assert result["num_runs_executed"] > 6
    assert result["latency_ms"] > 0
    assert len(result["samples_ms"]) == 6
    assert result["ci95_ms"][0] <= result["median_ms"] <= result["ci95_ms"][1]


CHILD = """
import torch
from harness import benchmark_with_power
from harness.measure.nvml import device_uuid
x = torch.randn(2048, 2048, device="cuda")
with benchmark_with_power(
    "cuda:0", lambda: x @ x, measure_power=True, power_min_duration=0.3
) as result:
    pass
assert result["conditions"].before["uuid"] == device_uuid(0), result["conditions"]
print(device_uuid(0), result["power_stats"])
"""


def test_the_card_that_is_visible_is_the_card_that_is_read():
    last = torch.cuda.device_count() - 1  # on a machine with several, not the first one
    uuid = str(torch.cuda.get_device_properties(last).uuid)
    uuid = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
    for visible in (uuid, str(last)):
        if "CUDA_VISIBLE_DEVICES" in os.environ and visible != uuid:
            continue  # indices count what that variable shows already
        done = python(CHILD, env={**os.environ, "CUDA_VISIBLE_DEVICES": visible}, timeout=120)
        assert done.returncode == 0, done.stderr
        assert uuid in done.stdout


def test_what_a_call_raises_while_it_is_captured_is_raised_as_it_is():
    class MineError(Exception):
        pass

    def call():
        if torch.cuda.is_current_stream_capturing():
            raise MineError("second time")

    with pytest.raises(MineError, match="second time"), benchmark_with_power("cuda", call):
        pass
    with benchmark_with_power("cuda", operator(16)) as result:
        assert result["used_cuda_graph"]


def test_a_call_that_waits_for_the_device_raises_what_torch_raises():
    for _ in range(2):
        with pytest.raises(RuntimeError), benchmark_with_power("cuda", waiting()):
            pass
    with benchmark_with_power("cuda", operator(16)) as result:
        assert result["used_cuda_graph"]


def test_a_failed_warm_up_raises_what_the_call_raised():
    def call():
        raise torch.OutOfMemoryError("too large")

    for more in ({}, {"allow_graph_fail": True}, {"use_cuda_graph": False}):
        with (
            pytest.raises(torch.OutOfMemoryError, match="too large"),
            benchmark_with_power("cuda", call, **more),
        ):
            pass


def structurally_equal(alignment):
    """Nothing but the latency of so small an operator may be undecided or, by noise, differ."""
    return [
        check.reason
        for result in alignment.results
        for check in result.checks
        if check.status == "fail" and check.name != "latency"
    ] == []


@pytest.mark.parametrize("compare", ["end", "each"])
def test_a_collector_that_is_not_edited_is_aligned(collector, compare, tmp_path):
    linear = importlib.import_module("collector.ops.collect_linear")
    collect = importlib.import_module("collector.collect")
    target = str(tmp_path / "linear_perf.txt")
    with align_op(
        "dsa", patch=HELPER, reference=collect.reference_on_gpu, compare=compare
    ) as alignment:
        kept = [linear.run_linear(4, target, "cuda") for _ in range(2)]
    assert len(alignment.results) == 2
    assert structurally_equal(alignment)
    for results in kept:
        assert any(one["kind"] == "kernel" for one in results["kernels"])
    lines = sidecar_of(target)
    assert [len(line["calls"][0]["kernels"]) > 0 for line in lines] == [True, True]
    assert linear.benchmark_with_power is importlib.import_module(HELPER).benchmark_with_power


def test_comparing_each_at_once_keeps_nothing_on_the_device():
    reference = operator(64)
    with align_op("dsa", reference=reference, compare="each") as alignment:
        before = 0
        for number in range(6):
            with benchmark_with_power("cuda", operator(64, scratch_mib=256), 1, 1):
                pass
            before = before or used_bytes()
            assert len(alignment.results) == number + 1
        # 256 MiB of scratch per graph; CUPTI's own buffers are of the first comparison
        assert used_bytes() - before <= 128 * MIB


WORKERS = """
import sys
import warnings
from harness import align_op
sys.path[:0] = PATHS
from collector import collect
if __name__ == "__main__":
    with align_op(
        "dsa", patch="collector.helper", reference=collect.reference_on_gpu, compare=COMPARE
    ) as alignment:
        codes = collect.collect([4, 4, 4], TARGET, how=HOW, device="cuda")
    assert codes in ([10, 0], [10, 10]), codes
    assert [worker.problem for worker in alignment.workers] == ["", ""], alignment.workers
    print(len(alignment.results), alignment.verdict)
    for result in alignment.results:
        for check in result.checks:
            assert check.status != "fail" or check.name == "latency", check
"""


@pytest.mark.parametrize(("compare", "how"), [("end", "sys.exit"), ("each", "os._exit")])
def test_spawned_workers_compare_on_the_card(compare, how, tmp_path):
    target = tmp_path / "linear_perf.txt"
    tests = ROOT / "tests" / "collector_package"
    paths = [str(ROOT), str(tests), str(tests / "collector")]
    values = {"PATHS": paths, "COMPARE": compare, "HOW": how, "TARGET": str(target)}
    head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    script = tmp_path / "run_collector.py"
    script.write_text(head + WORKERS)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2] == "3"
    assert len(sidecar_of(target)) == 3


@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", ["transformers", "vllm"])
@pytest.mark.parametrize("mode", ["context", "generation"])
def test_the_dsa_collector_is_aligned_by_one_line(framework, mode, tmp_path):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    command = [sys.executable, str(ROOT / "examples" / "collect_dsa.py"), "--mode", mode]
    command += ["--batch_sizes", "1", "--seq_lens", "4096", "--tp", "8", "--framework", framework]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PATHS, "COLLECTOR_MEASURE_POWER": "true"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    target = tmp_path / f"dsa_{mode}_perf.txt"
    assert target.exists(), done.stdout + done.stderr
    with target.open(newline="") as file:
        (row,) = csv.DictReader(file)
    (line,) = sidecar_of(target)
    assert done.returncode == Verdict(line["verdict"]).exit_code, done.stderr
    assert "align" not in ",".join(row)
    assert {name: str(value) for name, value in line["key"].items()}.items() <= row.items()
    assert float(row["latency"]) > 0
    (call,) = line["calls"]
    failed = {name for name, text in call["checks"].items() if text.startswith("fail")}
    assert failed <= {"latency"}, json.dumps(call["checks"], indent=1)
    assert line["verdict"] in DECIDED, json.dumps(call["checks"], indent=1)
    assert any(one["kind"] == "kernel" for one in call["kernels"])
