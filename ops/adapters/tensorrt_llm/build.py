"""Both sides of a case from TensorRT-LLM, sharing configuration, weights and hidden states only."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ops.adapters import weights
from ops.adapters.calls import output_of
from ops.adapters.hidden_states import chunk_lengths, fit, fit_past, seeded_hidden_states
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
        copied, unshared = 0, [weights.NOT_SHARED]
        if differences.share_weights:
            copied, unshared = weights.share(
                built.get_submodule(op.submodule),
                alone.get_submodule(op.submodule),
                buffers=True,
            )
        managers: list[Any] = []
        try:
            reference = Serving(api, theirs, built, op.submodule, case, device)
            managers.append(reference.manager)
            reference.run(*_embeddings(op, case, device))
            mock = Standalone(api, ours, alone, op.submodule, mock_case, device)
            managers.append(mock.manager)
            new, batch = reference.hidden_states, mock_case.batch_size
            mock.prefill(fit_past(reference.past, new, batch, _past_lengths(mock_case)))
            mock.prepare(fit(new, batch, mock_case.seq_len))
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
    """What enters the layer: the past in chunks, and the new tokens."""
    import torch

    dtype, hidden = getattr(torch, case.dtype), int(op.dimensions["hidden_size"])
    batch = case.batch_size
    past = seeded_hidden_states((batch, case.past_len, hidden), dtype, device, SEED_PAST)
    new = seeded_hidden_states((batch, case.seq_len, hidden), dtype, device, SEED_NEW)
    return list(past.split(_past_lengths(case), dim=1)), new


def _past_lengths(case: Case) -> list[int]:
    """Tokens per request of each prefill chunk: at most a serving step for the whole batch."""
    return chunk_lengths(case.past_len, serving.MAX_NUM_TOKENS // case.batch_size)


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
