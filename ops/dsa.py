"""DSA: DeepSeek Sparse Attention, the attention of DeepSeek-V3.2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ops.spec import OpSpec

DEEPSEEK_V32: dict[str, Any] = {
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "index_n_heads": 64,
    "index_head_dim": 128,
    "index_topk": 2048,
    "intermediate_size": 18432,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 163840,
    "rope_theta": 10000.0,
    "rope_scaling": {
        "rope_type": "yarn",
        "type": "yarn",
        "factor": 40.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 4096,
    },
}
"""Values of the published config.json of deepseek-ai/DeepSeek-V3.2 that shape its attention."""

KERNEL_PATTERNS = {
    "sparse attention": r"sparse_attn_fwd|flash_fwd_splitkv_mla|fwd_kvcache_mla|fmha.*[Ss]parse",
    "indexer logits": r"mqa_logits",
    "indexer top-k": r"topKPerRow|cooperative_topk|indexer_topk|top_k_per_row",
    "indexer cache": r"(?<!gather_)indexer_k_(quant|cache)",
    "indexer cache read": r"gather_indexer_k_(quant|cache)",
    "KV cache": r"concat_and_cache_mla|applyMLARope",
}
"""Kernels that only DSA launches in vLLM 0.26 and TensorRT-LLM 1.2 (seen on an H200)."""

DSA = OpSpec(
    name="dsa",
    title="DeepSeek Sparse Attention: MLA with a lightning indexer that selects top-k keys",
    model="DeepSeek-V3.2",
    dimensions=DEEPSEEK_V32,
    submodule="self_attn",
    heads="num_attention_heads",
    kernel_patterns=KERNEL_PATTERNS,
    frameworks=("tensorrt_llm", "vllm", "transformers"),
    # top-k is half of the 128 tokens, or every key would be selected and the indexer not be seen;
    # the MLP only surrounds the operator
    reduced_dimensions={"index_topk": 64, "intermediate_size": 256},
    reduced_tokens=128,
    recipes={
        "transformers": {
            "model_type": "deepseek_v32",
            "config": "DeepseekV32Config",
            "attention": "DeepseekV32Attention",
            "rotary": "DeepseekV32RotaryEmbedding",
        }
    },
)

DSA_KERNELS = replace(
    DSA,
    name="dsa-kernels",
    title="DSA put together from single kernels; known to differ from the layer",
    frameworks=("vllm",),
    mock="kernels",
)
