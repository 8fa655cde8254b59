"""Compare an attention module of your own with ``decoder.self_attn`` of a decoder layer.

Runs anywhere: with a GPU kernels are compared, without one ATen calls.

    python examples/align_two_callables.py
"""

import torch
from transformers import DeepseekV32Config, DynamicCache
from transformers.models.deepseek_v32.modeling_deepseek_v32 import (
    DeepseekV32Attention,
    DeepseekV32DecoderLayer,
    DeepseekV32RotaryEmbedding,
)

from harness import align_op

TOKENS = 256
device = "cuda" if torch.cuda.is_available() else "cpu"
config = DeepseekV32Config(
    num_hidden_layers=1,
    num_attention_heads=128 // 8,  # the local heads at tp 8
    num_key_value_heads=128 // 8,
    intermediate_size=512,
    index_topk=TOKENS // 2,
)
config._attn_implementation = "sdpa"

with torch.device(device):
    decoder = DeepseekV32DecoderLayer(config, layer_idx=0).bfloat16().eval()
    mock_attn = DeepseekV32Attention(config, layer_idx=0).bfloat16().eval()
    rotary = DeepseekV32RotaryEmbedding(config)
    hidden_states = torch.randn(1, TOKENS, config.hidden_size, dtype=torch.bfloat16)
    positions = torch.arange(TOKENS).unsqueeze(0)
    mask = torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool).tril()
mock_attn.load_state_dict(decoder.self_attn.state_dict())


def call(attention: DeepseekV32Attention) -> torch.Tensor:
    """One prefill from an empty cache; one that grew with each call would be another case."""
    with torch.no_grad():
        return attention(
            hidden_states=hidden_states,
            position_embeddings=rotary(hidden_states, positions),
            attention_mask=mask,
            past_key_values=DynamicCache(config=config),
            position_ids=positions,
        )


with align_op("dsa", tp=8) as alignment:
    alignment.mock(lambda: call(mock_attn), module=mock_attn, shared_weights=True)
    alignment.reference(lambda: call(decoder.self_attn), module=decoder.self_attn)

print(alignment.verdict, "-", alignment.results[0].summary)
for check in alignment.results[0].checks:
    print(f"  {check.name:14} {check.status:8} {check.reason}")
alignment.write("dsa.align.json")
