"""Outputs of submodules, on request: where a difference begins."""

from __future__ import annotations

from dataclasses import replace

from harness.align.model import Status
from harness.compare.options import Options
from harness.compare.pipeline import Job, run
from harness.record.choose import choose_recorder
from ops.registry import adapter
from tests.conftest import CONTEXT


def test_the_first_submodule_that_differs_is_named_and_earlier_ones_are_not(dsa):
    def reseed(sides):
        import torch

        with torch.no_grad():
            weight = sides.mock.module.kv_b_proj.weight
            if not weight.is_meta:
                weight.mul_(2)
        return sides

    recorder, reason = choose_recorder("auto", "meta")
    job = replace(Job(dsa, CONTEXT, adapter("transformers")), altered=reseed)
    (found,) = run([job], Options("meta", recorder, reason, submodules=True))
    numerics = found.alignment.check("numerics")
    assert numerics.status is Status.FAIL
    assert numerics.details[0].startswith("kv_b_proj differs")
    assert numerics.data["submodules"]["q_b_proj"]["bitwise"]
