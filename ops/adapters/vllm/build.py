"""Both sides of a case from vLLM, sharing configuration, weights and hidden states only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import InputError
from ops.adapters import weights
from ops.adapters.hidden_states import fit, fit_past
from ops.adapters.vllm import packages, plan
from ops.adapters.vllm.config import BACKEND, Sizes, engine_config, model_values
from ops.adapters.vllm.dsa_kernels import KernelMock
from ops.adapters.vllm.engine import Engine
from ops.adapters.vllm.modules import attention
from ops.adapters.vllm.reference import (
    LayerReference,
    Reference,
    ReferenceKind,
    RunnerReference,
)
from ops.adapters.vllm.sides import Mock, make_sides
from ops.adapters.vllm.standalone import Standalone
from ops.case import Case
from ops.sides import Sides
from ops.spec import Differences, OpSpec

if TYPE_CHECKING:
    import torch

SEED_OWN = 4


def check_case(case: Case) -> None:
    """Whether this adapter can build ``case``.

    Raises:
        InputError: the dtype is not bfloat16.
    """
    if case.dtype != "bfloat16":
        raise InputError(
            f"vLLM's {BACKEND} attention takes bfloat16, not {case.dtype}",
            fix="use --dtype bfloat16, or --framework transformers for other dtypes",
        )


def build_sides(
    op: OpSpec, case: Case, device: torch.device, differences: Differences, kind: ReferenceKind
) -> Sides:
    """Build the reference, then the mock; see `ops.spec.FrameworkAdapter.build`."""
    own_case = replace(case, **differences.case)
    check_case(own_case)
    sizes = Sizes.of(case)
    engine = Engine(engine_config(model_values(op, case, {}), sizes), device)
    made = {"runner": RunnerReference, "layer": LayerReference}[kind]
    reference = made(engine, case, sizes, op.submodule)
    mock, copied, unshared = _mock(op, own_case, device, differences, reference)
    *prefill, last = plan.steps(own_case)
    new, batch = reference.new, own_case.batch_size
    chunks = fit_past(reference.past, new, batch, [step.length for step in prefill])
    for step, chunk in zip(prefill, chunks, strict=True):
        mock.run(step, chunk.flatten(0, 1))
    mock.prepare(last, fit(new, batch, last.length).flatten(0, 1))
    reference.past.clear()
    return make_sides(op, kind, mock, reference, copied, unshared)


def _mock(
    op: OpSpec, case: Case, device: torch.device, differences: Differences, reference: Reference
) -> tuple[Mock, int, list[str]]:
    """The mock with its weights, how many were copied, and those that could not be."""
    values = model_values(op, case, differences.config)
    if op.mock == "kernels":
        packages.require_trtllm_kernel()
        names = dict(reference.replay.attention.named_parameters())
        if differences.share_weights:
            return KernelMock(values, case, names, device), len(names), []
        random = _random_like(names, device)
        return KernelMock(values, case, random, device), 0, [weights.NOT_SHARED]
    sizes = Sizes.of(case)
    mock = Standalone(Engine(engine_config(values, sizes), device), attention, case, sizes)
    weights.initialize(mock.module, SEED_OWN)
    mock.process_weights()  # makes W_UV and W_UK_T, which are then shared like the rest
    if not differences.share_weights:
        return mock, 0, [weights.NOT_SHARED]
    # buffers (rotary tables) stay each side's own
    return mock, *weights.share(reference.replay.attention, mock.module, buffers=False)


def _random_like(
    tensors: Mapping[str, torch.Tensor], device: torch.device
) -> dict[str, torch.Tensor]:
    """Seeded values of the same shapes, scaled as the weights of a module are."""
    import torch

    random = torch.Generator(device).manual_seed(SEED_OWN)
    std = weights.INITIALIZER_RANGE
    return {
        name: torch.empty_like(tensor).normal_(float(tensor.dim() == 1), std, generator=random)
        for name, tensor in sorted(tensors.items())
    }
