"""The modules of vLLM that are built without a model around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PREFIX = "model.layers.0"


def attention(config: Any, top_k: torch.Tensor) -> torch.nn.Module:
    """``DeepseekV2MLAAttention`` alone.

    Args:
        config: the mock's ``VllmConfig``.
        top_k: buffer [tokens, index_topk] int32 for the indexer's choice.
    """
    from vllm.model_executor.models.deepseek_v2 import DeepseekV2MLAAttention

    model = config.model_config.hf_config
    made: torch.nn.Module = DeepseekV2MLAAttention(
        vllm_config=config,
        config=model,
        hidden_size=model.hidden_size,
        num_heads=model.num_attention_heads,
        qk_nope_head_dim=model.qk_nope_head_dim,
        qk_rope_head_dim=model.qk_rope_head_dim,
        v_head_dim=model.v_head_dim,
        q_lora_rank=model.q_lora_rank,
        kv_lora_rank=model.kv_lora_rank,
        max_position_embeddings=model.max_position_embeddings,
        cache_config=config.cache_config,
        quant_config=config.quant_config,
        prefix=f"{PREFIX}.self_attn",
        topk_indices_buffer=top_k,
    )
    return made


def decoder_layer(config: Any, top_k: torch.Tensor) -> torch.nn.Module:
    """A whole ``DeepseekV2DecoderLayer``; its forward takes the same first three arguments."""
    from vllm.model_executor.models.deepseek_v2 import DeepseekV2DecoderLayer

    made: torch.nn.Module = DeepseekV2DecoderLayer(
        vllm_config=config, prefix=PREFIX, topk_indices_buffer=top_k
    )
    return made
