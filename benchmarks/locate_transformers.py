"""DeepSeek-V3.2 of transformers with several decoder layers and dense MLPs, as one side."""

from __future__ import annotations

from ops.adapters import weights
from ops.adapters.hidden_states import chunk_lengths, seeded_hidden_states
from ops.adapters.transformers.config import make_config
from ops.adapters.transformers.kv_state import KvState, new_cache
from ops.case import Case
from ops.sides import Side
from ops.spec import OpSpec

REGIONS = "layers.*.self_attn"
"""Paths of the operator in the module of the side."""

SCORES_BUDGET_BYTES = 4 << 30
"""Largest fp32 score tensor of a prefill chunk, as in ops/adapters/transformers/build.py."""


def whole_model(op: OpSpec, case: Case, layers: int, device: str) -> Side:
    """The model with its past in the cache; a call runs the new tokens of ``case``.

    Args:
        layers: decoder layers, all with dense MLPs.
        device: ``cuda`` or ``meta``.
    """
    import torch
    from transformers import AutoModel

    dense = {"first_k_dense_replace": layers, "mlp_layer_types": ["dense"] * layers}
    recipe = op.recipes["transformers"]
    config = make_config(op, recipe, case, {"num_hidden_layers": layers, **dense})
    dtype = getattr(torch, case.dtype)
    with torch.device(device):
        model = AutoModel.from_config(config, dtype=dtype).eval()
    weights.initialize(model, 1)
    cache = new_cache(config)
    hidden = int(op.dimensions["hidden_size"])

    def run(embeddings: torch.Tensor) -> torch.Tensor:
        output = model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
        states: torch.Tensor = output.last_hidden_state
        return states

    per_token = 4 * int(op.dimensions["index_n_heads"]) * case.kv_len * case.batch_size
    longest = case.past_len if device == "meta" else SCORES_BUDGET_BYTES // per_token
    with torch.no_grad():
        for number, length in enumerate(chunk_lengths(case.past_len, longest)):
            run(
                seeded_hidden_states((case.batch_size, length, hidden), dtype, device, 100 + number)
            )
    new = seeded_hidden_states((case.batch_size, case.seq_len, hidden), dtype, device, 2)
    state = KvState(cache, case.past_len)
    return Side(
        "model",
        lambda: run(new),
        state.reset,
        model,
        describe=f"{type(model).__name__} with {layers} layers",
        context=torch.no_grad,
    )
