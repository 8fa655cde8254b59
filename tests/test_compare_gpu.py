"""The whole run on a GPU with live CUPTI: command line, align_op, benchmarks inside it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.plants import PLANTS
from harness import align_op, benchmark_with_power
from harness.align.model import Alignment, Status, Verdict
from harness.compare.options import Options
from harness.compare.pipeline import Job, run
from harness.record.choose import choose_recorder
from harness.record.regions import open_regions
from ops.case import Case
from ops.registry import adapter, operator

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parent.parent
CASE = Case("dsa", "generation", 8, 2, 1, 4096, framework="transformers")


def compared(job: Job, recorder: str = "cupti") -> Alignment:
    chosen, reason = choose_recorder(recorder, "cuda")
    (result,) = run([job], Options("cuda", chosen, reason, rounds=20, forwards=2))
    return result.alignment


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A comparison in a process of its own."""
    case = ("--op", "dsa", "--tp", "8", "--phase", "generation", "--kv-len", "2304")
    return subprocess.run(
        [sys.executable, "-m", "harness.compare", *case, "--framework", "transformers", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def transformers_job(case: Case = CASE) -> Job:
    return Job(operator("dsa"), case, adapter("transformers"))


def failing(alignment: Alignment) -> list[str]:
    return [check.name for check in alignment.checks if check.status is Status.FAIL]


def test_equal_sides_fail_no_check_and_are_captured():
    alignment = compared(transformers_job())
    assert failing(alignment) == []
    assert alignment.check("graph").status is Status.PASS
    assert alignment.check("names").reason.endswith("graph replay")
    assert all(row.mock_us and row.reference_us for row in alignment.kernels)


def test_a_long_prompt_is_aligned_too():
    case = Case("dsa", "context", 8, 1, 2048, 4096, framework="transformers")
    assert failing(compared(transformers_job(case))) == []


@pytest.mark.parametrize("recorder", ["kineto", "dispatch"])
def test_the_other_recorders_find_equal_sides_equal(recorder):
    # In a process of its own: torch.profiler keeps CUPTI's subscription when it has stopped.
    done = command("--recorder", recorder, "--json")
    assert done.returncode in (0, 3), done.stderr
    document = json.loads(done.stdout)
    assert document["recorder"] == recorder
    assert not [c for c in document["checks"] if c["status"] == "fail"]


def test_an_extra_clone_is_found_by_name_and_in_both_modes():
    plant = next(plant for plant in PLANTS if plant.check == "extra")
    alignment = compared(plant.plant(transformers_job()))
    assert {"extra", "counts", "order", "graph"} <= set(failing(alignment))


def test_a_side_that_cannot_be_captured_fails_the_graph_check():
    def synchronising(sides):
        inner = sides.mock

        def call():
            result = inner.call()
            inner.output(result).sum().item()
            return result

        return replace(sides, mock=replace(inner, call=call))

    alignment = compared(replace(transformers_job(), altered=synchronising))
    assert "graph" in failing(alignment)
    assert "only one side can be captured" in alignment.check("graph").reason


def test_the_command_writes_evidence_that_holds_kernels_and_samples(tmp_path):
    done = command("--out", str(tmp_path))
    assert done.stdout.splitlines()[0].startswith("recorder: cupti"), done.stderr
    document = json.loads((tmp_path / "evidence.json").read_text())
    assert not [c for c in document["checks"] if c["status"] == "fail"]
    assert {p.name for p in tmp_path.iterdir()} >= {
        "report.md",
        "mock.parquet",
        "reference.parquet",
        "mock.eager.parquet",
        "reference.eager.parquet",
    }


@pytest.fixture(scope="module")
def gemm():
    weight = torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16)
    x = torch.randn(4096, 2048, device="cuda", dtype=torch.bfloat16)
    return lambda: x @ weight


def test_align_op_compares_callables_and_benchmarks(gemm):
    with align_op("dsa", tp=8, reference=gemm) as alignment:
        alignment.mock(gemm)
        alignment.reference(gemm)
        with benchmark_with_power("cuda:0", gemm) as result:
            assert result["used_cuda_graph"]
        with benchmark_with_power("cuda:0", lambda: gemm().clone()):
            pass
    assert [failing(result) == [] for result in alignment.results] == [True, True, False]
    assert alignment.verdict is Verdict.DIVERGED
    assert "extra" in failing(alignment.results[2])


def test_a_later_block_states_what_tracing_left_behind(gemm):
    for _ in range(2):
        with align_op("dsa") as alignment:
            alignment.mock(gemm)
            alignment.reference(gemm)
    conditions = alignment.results[0].check("conditions")
    assert conditions.data["traced_before"]
    assert "timed after tracing in this process" in conditions.reason


def test_an_exception_inside_leaves_cuda_usable_and_nothing_open(gemm):
    def failing_block() -> None:
        with align_op("dsa") as alignment:
            alignment.mock(gemm)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_block()
    assert open_regions() == ()
    assert gemm().shape == (4096, 2048)
