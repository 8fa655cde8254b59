"""Mocks that are wrong on purpose, each with the check that has to name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.compare.pipeline import Job
from ops.case import Case
from ops.sides import Side, Sides
from ops.spec import Differences


@dataclass(frozen=True)
class Plant:
    """One planted difference.

    Attributes:
        name: what is wrong with the mock.
        check: the check that has to fail because of it.
        differences: how the mock is built differently, given the case.
        altered: what is changed after building, or None.
        check_in: another check where a framework, in a phase, shows it elsewhere.
    """

    name: str
    check: str
    differences: Callable[[Case], Differences] = lambda _case: Differences()
    altered: Callable[[Sides], Sides] | None = None
    check_in: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def expected(self, case: Case) -> str:
        """The check that has to fail in this case."""
        return self.check_in.get((case.framework, case.phase), self.check)

    def plant(self, job: Job) -> Job:
        """The job with this difference in its mock."""
        return replace(job, differences=self.differences(job.case), altered=self.altered)


def _config(**values: Any) -> Callable[[Case], Differences]:
    return lambda _case: Differences(config=values)


def _off_by_one(case: Case) -> Differences:
    if case.phase == "generation":
        return Differences(case={"kv_len": case.kv_len - 1})
    return Differences(case={"seq_len": case.seq_len - 1, "kv_len": case.kv_len - 1})


def _with_clone(sides: Sides) -> Sides:
    """One extra copy of the output."""
    inner: Side = sides.mock

    def call() -> Any:
        result = inner.call()
        inner.output(result).clone()
        return result

    return replace(sides, mock=replace(inner, call=call))


def _without_indexer(sides: Sides) -> Sides:
    """The indexer's result is taken from an earlier call: it is not called at all."""
    module: Any = sides.mock.module
    indexer = module.indexer
    noted: list[Any] = []
    handle = indexer.register_forward_hook(lambda _m, _a, output: noted.append(output))
    with sides.mock.context():
        sides.mock.call()
    sides.mock.reset()
    handle.remove()
    first = noted[0]
    # the first keys instead of the best ones, in a tensor that exists before the call
    stale = first.new_empty(first.shape)
    stale.copy_(_arange_like(first))
    indexer.forward = lambda *_args, **_kwargs: stale
    return sides


def _arange_like(indices: Any) -> Any:
    import torch

    count = indices.shape[-1]
    return torch.arange(count, device=indices.device, dtype=indices.dtype).expand(indices.shape)


PLANTS = (
    Plant("index_topk 1024", "data flow", _config(index_topk=1024)),
    Plant("indexer not called", "missing", altered=_without_indexer),
    Plant(
        "heads not divided by tp",
        "data flow",
        _config(num_attention_heads=128, num_key_value_heads=128),
    ),
    Plant("dtype fp32", "data flow", lambda _case: Differences(case={"dtype": "float32"})),
    Plant("one extra clone of the output", "extra", altered=_with_clone),
    Plant(
        "sequence length off by one",
        "data flow",
        _off_by_one,
        # vLLM passes the KV length of a decode in its metadata, in no tensor of a submodule
        check_in={("vllm", "generation"): "numerics"},
    ),
    Plant(
        "RoPE on a different dim",
        "data flow",
        _config(qk_rope_head_dim=32, qk_nope_head_dim=160),
    ),
    Plant("weights not shared", "numerics", lambda _case: Differences(share_weights=False)),
)
