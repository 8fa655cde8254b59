"""The decoder layer as TensorRT-LLM's model loader makes it, without a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.adapters import weights
from ops.adapters.tensorrt_llm.probing import Api

if TYPE_CHECKING:
    import torch


def make_layer(api: Api, model_config: Any, device: str, seed: int) -> torch.nn.Module:
    """Layer 0 with seeded weights on ``device``, before `finish`.

    Weights are first what the framework's dummy loader makes (it knows quantised types), then
    seeded floats: its +-1e-3 makes norms so small that outputs say nothing.
    """
    keywords = {
        "model_config": model_config,
        "layer_idx": 0,
        "aux_stream_dict": make_streams(api, device),
    }
    chosen = api.fitting(api.DeepseekV3DecoderLayer, tuple(keywords), keywords)
    layer: torch.nn.Module = api.DeepseekV3DecoderLayer(**chosen)
    for module in layer.modules():
        create = getattr(module, "create_weights", None)
        if callable(create):
            create()
    layer.to(device).eval().requires_grad_(False)
    api.initialize_dummy_weights(layer)
    weights.initialize(layer, seed)
    return layer


def make_streams(api: Api, device: str) -> dict[Any, torch.cuda.Stream]:
    """A stream per kind, attention and shared experts on one, as ``DeepseekV3Model`` has them."""
    import torch

    kinds = api.AuxStreamType
    streams = {kind: torch.cuda.Stream(device=device) for kind in kinds}
    streams[kinds.MoeShared] = streams[kinds.Attention]
    return streams


def finish(layer: torch.nn.Module) -> None:
    """Derive what the loader derives once all weights are in (fused and transposed copies).

    Sharing weights comes before this: derived tensors need not be parameters.
    """
    for module in layer.modules():
        derive = getattr(module, "post_load_weights", None)
        if callable(derive) and not getattr(module, "_weights_removed", False):
            derive()


def add_next_norm(
    api: Api, layer: torch.nn.Module, model_config: Any, device: str, seed: int
) -> None:
    """Give the layer the norm that the model lends it from the following layer.

    The model does so after loading (``DeepseekV3ForCausalLM.post_load_weights``); the layer then
    ends with that norm fused with the residual addition.
    """
    values = model_config.pretrained_config
    norm: torch.nn.Module = api.RMSNorm(
        hidden_size=values.hidden_size, eps=values.rms_norm_eps, dtype=values.torch_dtype
    )
    norm.to(device).requires_grad_(False)
    weights.initialize(norm, seed)
    layer.next_layer_layernorm = norm
