"""From an operator's published dimensions to a transformers configuration."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ops.case import Case
from ops.spec import OpSpec


def make_config(
    op: OpSpec, recipe: Mapping[str, Any], case: Case, overrides: dict[str, Any] | None = None
) -> Any:
    """A configuration with the published dimensions, the local heads of one rank, and one layer
    unless ``overrides`` say otherwise.

    Args:
        op: names and values as in the model's config.json.
        recipe: ``model_type`` and the class name ``config``.
        case: gives tp.
        overrides: values that replace others (a mock that differs on purpose).

    Returns:
        A transformers ``PreTrainedConfig``.
    """
    # By its module and not through AutoConfig: vLLM registers a class of its own there under the
    # same model type, and the model would not know what to do with that.
    kind = recipe["model_type"]
    module = import_module(f"transformers.models.{kind}.configuration_{kind}")
    # hidden states are passed in and nothing is embedded, so that a small vocabulary does
    values = {"num_hidden_layers": 1, "vocab_size": 8, **op.dimensions}
    heads = op.local_heads(case.tp)
    values |= {"num_attention_heads": heads, "num_key_value_heads": heads}
    values |= overrides or {}
    scaling = dict(values.pop("rope_scaling", None) or {"rope_type": "default"})
    scaling.pop("type", None)  # the name of rope_type in older releases
    return getattr(module, recipe["config"])(
        **{key: value for key, value in values.items() if key != "rope_theta"},
        rope_parameters={"rope_theta": values["rope_theta"], **scaling},
        attn_implementation="sdpa",
    )
