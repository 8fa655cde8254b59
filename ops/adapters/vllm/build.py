"""Both sides of a case from vLLM, sharing configuration, weights and hidden states only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import InputError
from ops.adapters import weights
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


def mock_case(case: Case, differences: Differences) -> Case:
    """The mock's own case.

    Raises:
        InputError: it differs in something that the shared hidden states fix.
    """
    other = replace(case, **differences.case)
    check_case(other)
    if (other.batch_size, other.phase) != (case.batch_size, case.phase):
        raise InputError(
            "the mock's batch size and phase are those of the hidden states it is given",
            fix="let the mock differ in tp, seq_len or kv_len",
        )
    return other


def build_sides(
    op: OpSpec, case: Case, device: torch.device, differences: Differences, kind: ReferenceKind
) -> Sides:
    """Build the reference, then the mock; see `ops.spec.FrameworkAdapter.build`."""
    own_case = mock_case(case, differences)
    sizes = Sizes.of(case)
    engine = Engine(engine_config(model_values(op, case, {}), sizes), device)
    made = {"runner": RunnerReference, "layer": LayerReference}[kind]
    reference = made(engine, case, sizes, op.submodule)
    mock, unshared = _mock(op, own_case, device, differences, reference)
    past, new = own_tokens(reference.past, reference.new, own_case)
    *prefill, last = plan.steps(own_case)
    for step in prefill:
        mock.run(step, past[:, step.start : step.end].flatten(0, 1).contiguous())
    mock.prepare(last, new.flatten(0, 1).clone())
    reference.past.clear()
    return make_sides(op, kind, mock, reference, unshared)


def own_tokens(
    past: list[torch.Tensor], new: torch.Tensor, case: Case
) -> tuple[torch.Tensor, torch.Tensor]:
    """The mock's past [requests, past_len, hidden] and new tokens, cut or lengthened to its case.

    Where it needs more tokens than the reference had, the last one is repeated.
    """
    import torch

    before = torch.cat(past, 1) if past else new[:, :0]
    return _fitted(before, case.past_len, new), _fitted(new, case.seq_len, new)


def _fitted(tokens: torch.Tensor, length: int, spare: torch.Tensor) -> torch.Tensor:
    import torch

    missing = length - tokens.shape[1]
    if missing <= 0:
        return tokens[:, :length]
    filler = (tokens if tokens.shape[1] else spare)[:, -1:]
    return torch.cat([tokens, filler.expand(-1, missing, -1)], 1)


def _mock(
    op: OpSpec, case: Case, device: torch.device, differences: Differences, reference: Reference
) -> tuple[Mock, list[str]]:
    """The mock with its weights, and the weights that could not be shared."""
    values = model_values(op, case, differences.config)
    names = dict(reference.replay.attention.named_parameters())
    if op.mock == "kernels":
        packages.require_trtllm_kernel()
        shared: Mapping[str, torch.Tensor] = names
        if not differences.share_weights:
            shared = _random_like(names, device)
        return KernelMock(values, case, shared, device), _not_shared(differences)
    sizes = Sizes.of(case)
    mock = Standalone(Engine(engine_config(values, sizes), device), attention, case, sizes)
    weights.initialize(mock.module, SEED_OWN)
    mock.process_weights()  # makes W_UV and W_UK_T, which are then shared like the rest
    if not differences.share_weights:
        return mock, _not_shared(differences)
    return mock, copy_parameters(names, mock.weights)


def _not_shared(differences: Differences) -> list[str]:
    return [] if differences.share_weights else ["weights are not shared, on request"]


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


def copy_parameters(
    source: Mapping[str, torch.Tensor], target: Mapping[str, torch.Tensor]
) -> list[str]:
    """Copy parameters by name; buffers (rotary tables) stay each side's own.

    Returns:
        One phrase for each parameter that could not be copied.
    """
    import torch

    problems = [f"{name}: only in the reference" for name in sorted(source.keys() - target.keys())]
    problems += [f"{name}: only in the mock" for name in sorted(target.keys() - source.keys())]
    with torch.no_grad():
        for name in sorted(source.keys() & target.keys()):
            one, other = source[name], target[name]
            if one.shape == other.shape:
                other.copy_(one)
            else:
                problems.append(
                    f"{name}: {list(one.shape)} in the reference, {list(other.shape)} in the mock"
                )
    return problems
