"""Both sides of a case from transformers, sharing configuration, weights and hidden states only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ops.adapters import weights
from ops.adapters.calls import output_of
from ops.adapters.hidden_states import chunk_lengths, fit, fit_past, seeded_hidden_states
from ops.adapters.transformers.config import make_config
from ops.adapters.transformers.model_path import ModelPath
from ops.adapters.transformers.standalone import Standalone
from ops.case import Case
from ops.sides import Side, Sides, inside_layer, shared_by_builders
from ops.spec import Differences, OpSpec

SCORES_BUDGET_BYTES = 4 << 30
"""Largest fp32 score tensor [batch, chunk, index heads, KV length] of a prefill chunk."""

SEED_WEIGHTS, SEED_PAST, SEED_NEW, SEED_OWN = 1, 2, 3, 4


def build_sides(
    op: OpSpec, recipe: dict[str, Any], case: Case, device: str, differences: Differences
) -> Sides:
    """Build the mock and the reference of ``case``; see `ops.spec.FrameworkAdapter.build`."""
    import torch

    mock_case = replace(case, **differences.case)
    with torch.no_grad():  # as transformers' generate does
        reference = _reference(op, recipe, case, device)
        config = make_config(op, recipe, mock_case, dict(differences.config))
        dtype = getattr(torch, mock_case.dtype)
        mock = Standalone(config, recipe, device, dtype, SEED_OWN)
        copied, unshared = 0, [weights.NOT_SHARED]
        if differences.share_weights:
            copied, unshared = weights.share(reference.submodule, mock.module, buffers=True)
        new, batch = reference.hidden_states, mock_case.batch_size
        lengths = _past_lengths(op, mock_case, device)
        past = fit_past(reference.past, new, batch, lengths)
        mock.prefill(chunk.to(dtype) for chunk in past)
        mock.prepare(fit(new, batch, mock_case.seq_len).to(dtype))
    return _sides(op, recipe, mock, reference, copied, unshared)


def _reference(op: OpSpec, recipe: dict[str, Any], case: Case, device: str) -> ModelPath:
    import torch

    dtype = getattr(torch, case.dtype)
    config = make_config(op, recipe, case)
    path = ModelPath(config, op.submodule, device, dtype, SEED_WEIGHTS)
    hidden = int(op.dimensions["hidden_size"])
    batch = case.batch_size
    past = seeded_hidden_states((batch, case.past_len, hidden), dtype, device, SEED_PAST)
    new = seeded_hidden_states((batch, case.seq_len, hidden), dtype, device, SEED_NEW)
    path.run(list(past.split(_past_lengths(op, case, device), dim=1)), new)
    return path


def _past_lengths(op: OpSpec, case: Case, device: str) -> list[int]:
    """Tokens per request of each prefill chunk."""
    if device == "meta":  # nothing is allocated there, so nothing need be chunked
        return chunk_lengths(case.past_len, case.past_len)
    per_token = 4 * int(op.dimensions.get("index_n_heads", 1)) * case.kv_len
    return chunk_lengths(case.past_len, SCORES_BUDGET_BYTES // (case.batch_size * per_token))


def _sides(
    op: OpSpec,
    recipe: dict[str, Any],
    mock: Standalone,
    reference: ModelPath,
    copied: int,
    unshared: list[str],
) -> Sides:
    import torch

    model = type(reference.model).__name__
    layer = type(reference.layer).__name__
    alone = Side(
        "reference",
        reference.call_alone,
        reference.state.reset,
        reference.submodule,
        describe=f"{layer}.{op.submodule} called alone with the inputs that {model} gave it",
        weights=dict(reference.submodule.named_parameters()),
        output=output_of,
        context=torch.no_grad,
    )
    return Sides(
        mock=Side(
            "mock",
            mock.call,
            mock.state.reset,
            mock.module,
            describe=f"{recipe['attention']} built alone with inputs of its own",
            weights=dict(mock.module.named_parameters()),
            output=output_of,
            context=torch.no_grad,
        ),
        reference=alone,
        in_layer=inside_layer(alone, reference.call_layer, layer),
        shared=shared_by_builders(copied),
        unshared_weights=tuple(unshared),
    )
