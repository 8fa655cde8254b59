"""From an operator's published dimensions to a transformers configuration."""

from __future__ import annotations

from typing import Any

from ops.case import Case
from ops.spec import OpSpec


def make_config(
    op: OpSpec, model_type: str, case: Case, overrides: dict[str, Any] | None = None
) -> Any:
    """A one-layer configuration with the published dimensions and the local heads of one rank.

    Args:
        op: names and values as in the model's config.json.
        model_type: as in transformers' registry.
        case: gives tp.
        overrides: values that replace others (a mock that differs on purpose).

    Returns:
        A transformers ``PreTrainedConfig``.
    """
    from transformers import AutoConfig

    values = dict(op.dimensions)
    heads = op.local_heads(case.tp)
    values |= {"num_attention_heads": heads, "num_key_value_heads": heads}
    values |= overrides or {}
    scaling = dict(values.pop("rope_scaling", None) or {"rope_type": "default"})
    scaling.pop("type", None)  # the name of rope_type in older releases
    return AutoConfig.for_model(
        model_type,
        **{key: value for key, value in values.items() if key != "rope_theta"},
        rope_parameters={"rope_theta": values["rope_theta"], **scaling},
        num_hidden_layers=1,
        vocab_size=8,  # hidden states are passed in; nothing is embedded
        attn_implementation="sdpa",
    )
