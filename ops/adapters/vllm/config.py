"""From an operator's published dimensions to vLLM's engine configuration."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.adapters.vllm.plan import PREFILL_TOKENS, blocks_for, round_up
from ops.case import Case
from ops.spec import OpSpec

BACKEND = "FLASHMLA_SPARSE"
"""Closest to TensorRT-LLM on sm_90; vLLM's own default there is FlashAttention 3 sparse."""

VOCABULARY = 8192
"""Enough distinct embeddings that keys differ; the published 129,280 would cost 3.7 GB."""

MODEL = {
    "architectures": ["DeepseekV32ForCausalLM"],
    "model_type": "deepseek_v32",
    "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY,
    "num_hidden_layers": 1,
    "first_k_dense_replace": 1,  # the one layer has a dense MLP: it only surrounds the operator
    "moe_intermediate_size": 256,
    "moe_layer_freq": 1,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
"""What a DeepSeek-V3.2 config.json needs beside the operator's own dimensions."""


@dataclass(frozen=True)
class Sizes:
    """Limits of an engine, in tokens and requests; they size its buffers."""

    model_len: int
    batched_tokens: int
    requests: int

    @classmethod
    def of(cls, case: Case) -> Sizes:
        """Limits that hold ``case`` and one token more per request."""
        return cls(
            model_len=max(PREFILL_TOKENS, round_up(case.kv_len + 1, 1024)),
            batched_tokens=max(PREFILL_TOKENS, case.new_tokens + case.batch_size),
            requests=max(256, case.batch_size),
        )

    def cache_blocks(self, case: Case, block_size: int) -> int:
        """Blocks for ``case`` and one token more per request; never less than one full request."""
        needed = case.batch_size * blocks_for(case.kv_len + 1, block_size)
        return 1 + max(needed, blocks_for(self.model_len, block_size))


def model_values(op: OpSpec, case: Case, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The values of config.json: one layer, the heads of one rank, then ``overrides``."""
    heads = op.local_heads(case.tp)
    local = {"num_attention_heads": heads, "num_key_value_heads": heads}
    return {**MODEL, **op.dimensions, **local, **overrides}


def engine_config(values: Mapping[str, Any], sizes: Sizes) -> Any:
    """A ``VllmConfig`` as ``vllm serve --enforce-eager`` makes it from such a config.json.

    Sampling is set to "processed_logprobs" because the other modes import flashinfer, which
    plays no part in attention.
    """
    from vllm.engine.arg_utils import EngineArgs

    with tempfile.TemporaryDirectory(prefix="harness-vllm-") as folder, _inspected_in_process():
        (Path(folder) / "config.json").write_text(json.dumps(dict(values)))
        return EngineArgs(
            model=folder,
            skip_tokenizer_init=True,
            generation_config="vllm",
            load_format="dummy",
            enforce_eager=True,
            dtype="bfloat16",
            kv_cache_dtype="auto",
            attention_backend=BACKEND,
            max_model_len=sizes.model_len,
            max_num_batched_tokens=sizes.batched_tokens,
            max_num_seqs=sizes.requests,
            async_scheduling=False,
            logprobs_mode="processed_logprobs",
        ).create_engine_config()


@contextmanager
def _inspected_in_process() -> Iterator[None]:
    """Let vLLM look at the model class here; it would start a Python process of its own."""
    from vllm.model_executor.models import registry

    def here(function: Callable[[], Any]) -> Any:
        return function()

    original = registry._run_in_subprocess
    registry._run_in_subprocess = here
    try:
        yield
    finally:
        registry._run_in_subprocess = original
