"""Both sides of a case from TensorRT-LLM, sharing configuration, weights and hidden states only."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ops.adapters import weights
from ops.adapters.tensorrt_llm import layer, serving, standalone
from ops.adapters.tensorrt_llm.config import check_case, make_model_config
from ops.adapters.tensorrt_llm.probing import Api
from ops.adapters.tensorrt_llm.serving import Serving
from ops.adapters.tensorrt_llm.standalone import Standalone
from ops.case import Case
from ops.sides import Side, Sides
from ops.spec import Differences, OpSpec

if TYPE_CHECKING:
    import torch

SEED_WEIGHTS, SEED_PAST, SEED_NEW, SEED_OWN, SEED_NORM = 1, 2, 3, 4, 5

NOTES = (
    "bfloat16 weights; the published checkpoint holds fp8 blocks, which serving runs as fp8 GEMMs",
    "layer 0 of one layer, with its dense MLP; tensor parallelism is the local head count",
    "TensorRT-LLM's autotuner was run on neither side",
    "as in the collectors, the mock has int64 positions [tokens] and decodes at a position one "
    "below the reference's int32 [1, tokens]",
)

CONTEXT_NOTE = "serving runs prefill eagerly; a graph of it is what the collectors capture"


def build_sides(api: Api, op: OpSpec, case: Case, device: str, differences: Differences) -> Sides:
    """Build the mock and the reference of ``case``; see `ops.spec.FrameworkAdapter.build`."""
    import torch

    mock_case = replace(case, **differences.case)
    for one in (case, mock_case):
        check_case(op, one)
    # weights and metadata are made outside of inference mode, as loaders make them: tensors made
    # inside could not be updated in place outside; only forwards run inside
    with torch.no_grad(), _on(device):
        built, theirs = _reference_layer(api, op, case, device)
        alone, ours = _mock_layer(api, op, mock_case, device, dict(differences.config))
        copied, unshared = 0, ["weights are not shared, on request"]
        if differences.share_weights:
            copied, unshared = weights.share(
                built.get_submodule(op.submodule), alone.get_submodule(op.submodule)
            )
        managers: list[Any] = []
        try:
            reference = Serving(api, theirs, built, op.submodule, case, device)
            managers.append(reference.manager)
            reference.run(*_embeddings(op, case, device))
            mock = Standalone(api, ours, alone, op.submodule, mock_case, device)
            managers.append(mock.manager)
            mock.prefill(fit_past(reference.past, reference.hidden_states, mock_case))
            mock.prepare(fit(reference.hidden_states, mock_case.batch_size, mock_case.seq_len))
        except BaseException:
            _free(managers, device)
            raise
    sides = _sides(op, mock, reference, f"{copied} weight tensors, copied by name")
    places = f"tensorrt_llm {api.version}, layer from {api.places['DeepseekV3DecoderLayer']}"
    sides.notes = (places, *NOTES, *((CONTEXT_NOTE,) if case.phase == "context" else ()))
    sides.unshared_weights = tuple(unshared)
    sides.close = lambda: _free(managers, device)
    return sides


def _reference_layer(api: Api, op: OpSpec, case: Case, device: str) -> tuple[torch.nn.Module, Any]:
    limits = serving.limits_of(case)
    config = make_model_config(api, op, case, limits, graphs=True, overrides={})
    built = layer.make_layer(api, config, device, SEED_WEIGHTS)
    layer.add_next_norm(api, built, config, device, SEED_NORM)
    return built, config


def _mock_layer(
    api: Api, op: OpSpec, case: Case, device: str, overrides: dict[str, Any]
) -> tuple[torch.nn.Module, Any]:
    limits = standalone.limits_of(case)
    config = make_model_config(api, op, case, limits, graphs=False, overrides=overrides)
    return layer.make_layer(api, config, device, SEED_OWN), config


def _embeddings(op: OpSpec, case: Case, device: str) -> tuple[list[torch.Tensor], torch.Tensor]:
    """What enters the layer: the past in chunks of at most a serving step, and the new tokens."""
    import torch

    dtype, hidden = getattr(torch, case.dtype), int(op.dimensions["hidden_size"])
    batch = case.batch_size
    length = weights.chunk_length(batch, 1, serving.MAX_NUM_TOKENS, case.past_len)
    past = weights.seeded_hidden_states((batch, case.past_len, hidden), dtype, device, SEED_PAST)
    new = weights.seeded_hidden_states((batch, case.seq_len, hidden), dtype, device, SEED_NEW)
    return [chunk for chunk in past.split(length, dim=1) if chunk.shape[1]], new


def fit(hidden_states: torch.Tensor, batch: int, length: int) -> torch.Tensor:
    """The same hidden states in memory of the mock's own, [batch, length, hidden].

    Where the mock has more requests they start over; where it has more tokens the last is repeated.
    """
    import torch

    device = hidden_states.device
    rows = torch.arange(batch, device=device) % hidden_states.shape[0]
    columns = torch.arange(length, device=device).clamp(max=hidden_states.shape[1] - 1)
    return hidden_states[rows][:, columns]  # indexing by tensors copies


def fit_past(past: list[torch.Tensor], new: torch.Tensor, case: Case) -> list[torch.Tensor]:
    """The past chunks for the mock's own past length, copied.

    Args:
        past: of the reference, each [batch, chunk, hidden].
        new: taken from where the reference has no past.
        case: of the mock.
    """
    fitted: list[torch.Tensor] = []
    missing = case.past_len
    for chunk in past:
        length = min(missing, chunk.shape[1])
        if length:
            fitted.append(fit(chunk, case.batch_size, length))
        missing -= length
    if missing:
        last = (past[-1] if past else new)[:, -1:]
        fitted.append(fit(last, case.batch_size, missing))
    return fitted


def output_of(result: Any) -> Any:
    """The attention output of a submodule, or hidden states of (hidden states, residual)."""
    return result[0] if isinstance(result, (tuple, list)) else result


def _sides(op: OpSpec, mock: Standalone, reference: Serving, shared: str) -> Sides:
    kind = type(reference.layer).__name__
    operator = type(reference.module).__name__

    def side(
        label: str, owner: Standalone | Serving, call: Callable[[], Any], describe: str
    ) -> Side:
        return Side(
            label,
            call,
            owner.reset,
            owner.module,
            output=output_of,
            context=owner.context,
            describe=describe,
            weights=dict(owner.module.named_parameters()),
        )

    return Sides(
        mock=side("mock", mock, mock.call, f"{operator} built alone, as a collector builds it"),
        reference=side(
            "reference",
            reference,
            reference.call_alone,
            f"{kind}.{op.submodule} called alone with the inputs that the running layer gave it",
        ),
        in_layer=side(
            "in layer",
            reference,
            reference.call_layer,
            f"{kind}.{op.submodule} inside the running {kind}",
        ),
        shared=("configuration values", shared, "hidden states entering the submodule"),
    )


def _on(device: str) -> AbstractContextManager[Any]:
    """Make ``device`` the current one: TensorRT-LLM allocates on the current CUDA device."""
    import torch

    return torch.cuda.device(device) if device.startswith("cuda") else nullcontext()


def _free(managers: list[Any], device: str) -> None:
    """Give the KV caches back; their pools belong to C++, not to torch. A second call is free."""
    import torch

    while managers:
        managers.pop().shutdown()
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
