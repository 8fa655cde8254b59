"""Every planted difference is found and named by the right check; equal sides never are.

At full size on the meta device, with outputs computed on the CPU at the reduced size.
"""

from __future__ import annotations

import pytest

from benchmarks.plants import PLANTS, Plant
from harness.align.model import Alignment, Status, Verdict
from harness.compare.options import Options
from harness.compare.pipeline import Job, run
from harness.record.choose import choose_recorder
from ops.case import Case
from ops.registry import adapter
from ops.spec import Differences, OpSpec


def compared(job: Job) -> Alignment:
    recorder, reason = choose_recorder("auto", "meta")
    (result,) = run([job], Options("meta", recorder, reason))
    return result.alignment


def failing(alignment: Alignment) -> list[str]:
    return [check.name for check in alignment.checks if check.status is Status.FAIL]


@pytest.fixture
def job(dsa: OpSpec, case: Case) -> Job:
    return Job(dsa, case, adapter("transformers"))


def test_equal_sides_are_aligned_with_nothing_but_the_gpu_checks_skipped(job):
    alignment = compared(job)
    assert alignment.verdict is Verdict.ALIGNED
    skipped = {check.name for check in alignment.checks if check.status is Status.SKIPPED}
    assert skipped == {"kernel latency", "latency", "graph", "overlap"}
    assert "no CUDA device" in alignment.check("latency").reason
    assert "bitwise equal" in alignment.check("numerics").reason


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_difference_is_named_by_its_check(job: Job, plant: Plant):
    alignment = compared(plant.plant(job))
    assert alignment.verdict is Verdict.DIVERGED
    assert plant.expected(job.case) in failing(alignment)


def test_skipping_the_indexer_also_fails_numerics(job):
    plant = next(plant for plant in PLANTS if plant.name == "indexer not called")
    assert "numerics" in failing(compared(plant.plant(job)))


def test_an_indexer_with_weights_of_its_own_fails_numerics_and_nothing_else(job):
    def reseed(sides):
        import torch

        with torch.no_grad():
            for weight in sides.mock.module.indexer.parameters():
                if not weight.is_meta:
                    weight.copy_(torch.randn(weight.shape) * 0.02)
        return sides

    from dataclasses import replace

    assert failing(compared(replace(job, altered=reseed))) == ["numerics"]


def test_the_reduced_size_keeps_the_indexer_visible(dsa, case):
    op, small, text = dsa.reduce_for_cpu(case)
    assert small.kv_len >= 2 * op.dimensions["index_topk"]
    assert "index_topk 2048 -> 64" in text
    assert f"KV length {case.kv_len} -> 128" in text


def test_what_was_reduced_stands_in_the_numerics_reason(job):
    assert "index_topk 2048 -> 64" in compared(job).check("numerics").reason


def test_an_extra_clone_is_counted_once(job):
    plant = next(plant for plant in PLANTS if plant.check == "extra")
    alignment = compared(plant.plant(job))
    assert set(failing(alignment)) >= {"extra", "counts", "order"}
    assert any("aten::clone x1" in line for line in alignment.check("extra").details)


def test_a_required_check_that_is_skipped_leaves_the_verdict_open(job):
    recorder, reason = choose_recorder("auto", "meta")
    options = Options("meta", recorder, reason, required=frozenset({"latency"}))
    (result,) = run([job], options)
    assert result.alignment.verdict is Verdict.INCONCLUSIVE
    assert result.alignment.verdict.exit_code == 3


def test_differences_keep_their_distance_at_the_reduced_size(job):
    from dataclasses import replace

    off = replace(job, differences=Differences(config={"index_topk": 1024}))
    assert failing(compared(off)).count("data flow") == 1
