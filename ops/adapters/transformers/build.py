"""Both sides of a case from transformers, sharing configuration, weights and hidden states only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ops.adapters import weights
from ops.adapters.transformers.config import make_config
from ops.adapters.transformers.model_path import ModelPath
from ops.adapters.transformers.standalone import Standalone
from ops.case import Case
from ops.sides import Side, Sides
from ops.spec import Differences, OpSpec

if TYPE_CHECKING:
    import torch

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
        config = make_config(op, recipe["model_type"], case, dict(differences.config))
        mock = Standalone(config, recipe, device, getattr(torch, mock_case.dtype), SEED_OWN)
        copied, unshared = 0, ["weights are not shared, on request"]
        if differences.share_weights:
            copied, unshared = weights.share(reference.submodule, mock.module)
        mock.prefill([_own(chunk, mock_case) for chunk in _resized(reference.past, mock_case)])
        mock.prepare(_own(_new_tokens(reference.hidden_states, mock_case), mock_case))
    return _sides(op, recipe, mock, reference, copied, unshared)


def _reference(op: OpSpec, recipe: dict[str, Any], case: Case, device: str) -> ModelPath:
    import torch

    dtype = getattr(torch, case.dtype)
    config = make_config(op, recipe["model_type"], case)
    path = ModelPath(config, op.submodule, device, dtype, SEED_WEIGHTS)
    hidden = int(op.dimensions["hidden_size"])
    past = weights.seeded_hidden_states(
        (case.batch_size, case.past_len, hidden), dtype, device, SEED_PAST
    )
    new = weights.seeded_hidden_states(
        (case.batch_size, case.seq_len, hidden), dtype, device, SEED_NEW
    )
    per_token = 4 * int(op.dimensions.get("index_n_heads", 1)) * case.kv_len
    length = weights.chunk_length(case.batch_size, per_token, SCORES_BUDGET_BYTES, case.past_len)
    whole = device == "meta"  # nothing is allocated there, so nothing need be chunked
    chunks = [past] if whole else list(past.split(max(length, 1), dim=1))
    path.run([chunk for chunk in chunks if chunk.shape[1]], new)
    return path


def _first(result: Any) -> Any:
    """The attention output of (output, attention weights)."""
    return result[0]


def _own(hidden_states: torch.Tensor, case: Case) -> torch.Tensor:
    """The same hidden states in memory of the mock's own, in the mock's dtype."""
    import torch

    return hidden_states.clone().to(getattr(torch, case.dtype))


def _new_tokens(hidden_states: torch.Tensor, case: Case) -> torch.Tensor:
    """The new tokens of the mock; the last one repeated where its case has more."""
    import torch

    extra = case.seq_len - hidden_states.shape[1]
    if extra <= 0:
        return hidden_states[:, : case.seq_len]
    return torch.cat([hidden_states, hidden_states[:, -1:].expand(-1, extra, -1)], dim=1)


def _resized(past: list[torch.Tensor], case: Case) -> list[torch.Tensor]:
    """The past chunks, shortened or lengthened to the mock's own past length."""
    import torch

    missing = case.past_len - sum(chunk.shape[1] for chunk in past)
    if not missing or not past:
        return past
    last = past[-1]
    grown = torch.cat([last, last[:, -1:].expand(-1, missing, -1)], 1) if missing > 0 else None
    return [*past[:-1], last[:, :missing] if grown is None else grown]


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
    place = f"{type(reference.layer).__name__}.{op.submodule}"
    names = dict(reference.submodule.named_parameters())
    return Sides(
        mock=Side(
            "mock",
            mock.call,
            mock.state.reset,
            mock.module,
            describe=f"{recipe['attention']} built alone with inputs of its own",
            weights=dict(mock.module.named_parameters()),
            output=_first,
            context=torch.no_grad,
        ),
        reference=Side(
            "reference",
            reference.call_alone,
            reference.state.reset,
            reference.submodule,
            describe=f"{place} called alone with the inputs that {model} gave it",
            weights=names,
            output=_first,
            context=torch.no_grad,
        ),
        in_layer=Side(
            "in layer",
            reference.call_layer,
            reference.state.reset,
            reference.submodule,
            describe=f"{place} inside the running {type(reference.layer).__name__}",
            weights=names,
            context=torch.no_grad,
        ),
        shared=(
            "configuration values",
            f"{copied} weight tensors, copied by name",
            "hidden states entering the submodule",
        ),
        unshared_weights=tuple(unshared),
    )
