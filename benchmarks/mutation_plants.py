"""What `benchmarks/mutations.toml` plants in a job: one function per ``plant``, by its name.

Each takes a job and the arguments of the file, and returns the job with the difference in its mock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from benchmarks.plants import _with_clone, _without_indexer
from harness.compare.pipeline import Job
from ops.sides import Side, Sides
from ops.spec import Differences

Plant = Callable[..., Job]


def merged(job: Job, more: Differences) -> Job:
    """A job with further differences, so that two can be planted together."""
    have = job.differences
    both = Differences(
        {**have.config, **more.config},
        {**have.case, **more.case},
        have.share_weights and more.share_weights,
    )
    return replace(job, differences=both)


def altered(job: Job, change: Callable[[Sides], Sides]) -> Job:
    """A job whose sides are changed after they were built, and after earlier changes."""
    before = job.altered
    return replace(job, altered=lambda sides: change(before(sides) if before else sides))


def config(job: Job, **values: Any) -> Job:
    """Other values of the model configuration."""
    return merged(job, Differences(config=values))


def case(job: Job, **values: Any) -> Job:
    """Other sizes or another dtype."""
    return merged(job, Differences(case=values))


def own_weights(job: Job) -> Job:
    """Weights that nobody copied."""
    return merged(job, Differences(share_weights=False))


def without_indexer(job: Job) -> Job:
    """The selection of an earlier call; see `benchmarks.plants`."""
    return altered(job, _without_indexer)


def clone_output(job: Job) -> Job:
    """A copy that nobody needs."""
    return altered(job, _with_clone)


def fp8_input(job: Job, submodule: str) -> Job:
    """A submodule's input goes through fp8, as in a quantised GEMM."""

    def change(sides: Sides) -> Sides:
        import torch

        def rounded(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            first = args[0]
            return (first.to(torch.float8_e4m3fn).to(first.dtype), *args[1:])

        module: Any = sides.mock.module
        module.get_submodule(submodule).register_forward_pre_hook(rounded)
        return sides

    return altered(job, change)


def without_cache_update(job: Job) -> Job:
    """No KV-cache manager: the call gets no cache."""
    return _argument(job, "past_key_values", lambda _value: None)


def int32_positions(job: Job) -> Job:
    """Positions as another integer dtype."""
    import torch

    return _argument(job, "position_ids", _once(lambda value: value.to(torch.int32)))


def transposed_input(job: Job) -> Job:
    """Hidden states whose tokens are not next to each other in memory."""
    turned = _once(lambda value: value.transpose(1, 2).contiguous().transpose(1, 2))
    return _argument(job, "hidden_states", turned)


def _once(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``change`` made when a value is first seen, so that it is no part of later calls."""
    made: dict[int, tuple[Any, Any]] = {}

    def changed(value: Any) -> Any:
        if id(value) not in made:
            made[id(value)] = (value, change(value))
        return made[id(value)][1]

    return changed


def _argument(job: Job, name: str, change: Callable[[Any], Any]) -> Job:
    """Change one keyword argument of the mock's module, before anything else sees it."""

    def hook(_module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, {**kwargs, name: change(kwargs[name])}

    def alter(sides: Sides) -> Sides:
        module: Any = sides.mock.module
        module.register_forward_pre_hook(hook, with_kwargs=True)
        return sides

    return altered(job, alter)


def fused_norm(job: Job) -> Job:
    """The norm of the latent query as one call of torch where the model makes several."""

    def change(sides: Sides) -> Sides:
        import torch

        module: Any = sides.mock.module
        norm = module.q_a_layernorm
        size = tuple(norm.weight.shape)
        norm.forward = lambda x: torch.ops.aten._fused_rms_norm(
            x, list(size), norm.weight, norm.variance_epsilon
        )[0]
        return sides

    return altered(job, change)


def unfused_norm(job: Job) -> Job:
    """vLLM's norms by their PyTorch implementation while the mock runs."""

    def native() -> Any:
        return import_module("vllm.ir").ops.rms_norm.set_priority(["native"])

    return altered(job, lambda sides: _inside(sides, native))


def _inside(sides: Sides, manager: Callable[[], Any]) -> Sides:
    """The mock's calls within a context manager, entered after its own."""

    @contextlib.contextmanager
    def both() -> Iterator[Any]:
        with sides.mock.context() as value, manager():
            yield value

    return replace(sides, mock=replace(sides.mock, context=both))


def without_op(job: Job, module: str, op: str) -> Job:
    """A custom op that does nothing while the mock runs."""

    @contextlib.contextmanager
    def skipped() -> Iterator[None]:
        owner = import_module(module)
        original = getattr(owner, op)
        setattr(owner, op, lambda *_args, **_kwargs: None)
        try:
            yield
        finally:
            setattr(owner, op, original)

    return altered(job, lambda sides: _inside(sides, skipped))


def side_stream(job: Job) -> Job:
    """The reference copies a weight while it computes; the mock copies it first, and then computes.

    The copy has to be able to run beside something: one that waits for the output would be one
    chain, and in a graph on one stream whatever stream it was captured from.
    """

    def change(sides: Sides) -> Sides:
        import torch

        other = torch.cuda.Stream()

        def apart(side: Side) -> Any:
            weight = next(iter(side.weights.values()))
            current = torch.cuda.current_stream()
            other.wait_stream(current)
            with torch.cuda.stream(other):
                copy = weight.clone()
            result = side.call()
            current.wait_stream(other)
            copy.record_stream(current)
            return result

        def along(side: Side) -> Any:
            next(iter(side.weights.values())).clone()
            return side.call()

        mock, reference = sides.mock, sides.reference
        made = replace(sides, mock=replace(mock, call=lambda: along(mock)))
        made = replace(made, reference=replace(reference, call=lambda: apart(reference)))
        return replace(made, in_layer=None)  # the layer does not make that copy

    return altered(job, change)


def item_of_output(job: Job) -> Job:
    """The host reads one number of the output."""
    return _after(job, lambda output: output.flatten()[0].item())


def _after(job: Job, look: Callable[[Any], Any]) -> Job:
    def change(sides: Sides) -> Sides:
        inner = sides.mock

        def call() -> Any:
            result = inner.call()
            look(inner.output(result))
            return result

        return replace(sides, mock=replace(inner, call=call))

    return altered(job, change)


def no_graph(job: Job) -> Job:
    """A mock that refuses capture, as a collector with use_cuda_graph=False."""
    why = "the collector runs it with use_cuda_graph=False"
    return altered(job, lambda s: replace(s, mock=replace(s.mock, no_graph_because=why)))


def other_gemm_algorithms(job: Job) -> Job:
    """The mock's GEMMs by cuBLASLt, which may not split K: other tiles than cuBLAS takes."""

    @contextlib.contextmanager
    def whole() -> Iterator[None]:
        import torch

        settings: Any = torch.backends.cuda.matmul
        name = "allow_bf16_reduced_precision_reduction"
        before = (getattr(settings, name), getattr(settings, f"{name}_split_k"))
        library = torch.backends.cuda.preferred_blas_library()
        torch.backends.cuda.preferred_blas_library("cublaslt")
        setattr(settings, name, (False, False))
        try:
            yield
        finally:
            setattr(settings, name, before)
            torch.backends.cuda.preferred_blas_library(library)

    return altered(job, lambda sides: _inside(sides, whole))


BY_NAME: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        config, case, own_weights, without_indexer, clone_output, fp8_input, without_cache_update,
        int32_positions, transposed_input, fused_norm, unfused_norm, without_op, side_stream,
        item_of_output, no_graph, other_gemm_algorithms,
    )
}  # fmt: skip
