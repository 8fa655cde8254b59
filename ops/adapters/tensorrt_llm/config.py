"""From an operator's published dimensions to a TensorRT-LLM ``ModelConfig``.

TensorRT-LLM reads a ``config.json`` and derives everything else from it, the sparse attention
configuration too (``ModelConfig.from_pretrained`` builds it for ``DeepseekV32ForCausalLM``), so a
``config.json`` is what is written, one folder per side.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import InputError
from ops.adapters.tensorrt_llm.probing import Api
from ops.case import Case
from ops.spec import OpSpec

NEEDED = ("hidden_size", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim")
NEEDED_SPARSE = ("index_n_heads", "index_head_dim", "index_topk")

SURROUNDINGS: dict[str, Any] = {
    "architectures": ["DeepseekV32ForCausalLM"],
    "model_type": "deepseek_v32",
    "torch_dtype": "bfloat16",
    "vocab_size": 129280,
    "hidden_act": "silu",
    "attention_bias": False,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "n_group": 8,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    # a single layer, without the one of multi-token prediction
    "num_hidden_layers": 1,
    "num_nextn_predict_layers": 0,
}
"""The rest of the published config.json of deepseek-ai/DeepSeek-V3.2, as the decoder layer reads
it. Layer 0 is below first_k_dense_replace and has a dense MLP. Without ``quantization_config``."""


@dataclass(frozen=True)
class Limits:
    """What an engine is sized for.

    Attributes:
        max_num_tokens: new tokens of a forward, over all requests.
        max_seq_len: tokens of a request in the cache.
    """

    max_num_tokens: int
    max_seq_len: int


def check_case(op: OpSpec, case: Case) -> None:
    """Refuse what TensorRT-LLM's DSA cannot run.

    Raises:
        InputError: the operator is another one, or the case has no such kernels.
    """
    missing = [key for key in (*NEEDED, *NEEDED_SPARSE) if key not in op.dimensions]
    if op.mock != "module" or missing:
        why = f"its dimensions lack {', '.join(missing)}" if missing else f"its mock is {op.mock}"
        raise InputError(f"tensorrt_llm cannot build {op.name}: {why}", fix="use --op dsa")
    if case.dtype != "bfloat16":
        # the indexer's rotation and FlashMLA's sparse prefill both assert bfloat16
        raise InputError(
            f"tensorrt_llm runs {op.name} in bfloat16 only, not {case.dtype}",
            fix="use --dtype bfloat16",
        )
    if case.phase == "generation" and not case.past_len:
        raise InputError(
            "tensorrt_llm decodes after at least one cached token, and KV length 1 has none",
            fix="use --kv-len 2 or more",
        )


def make_model_config(
    api: Api, op: OpSpec, case: Case, limits: Limits, *, graphs: bool, overrides: dict[str, Any]
) -> Any:
    """A ``ModelConfig`` of one side, with the local heads of one rank.

    Args:
        api: the found release.
        op: names and values as in the model's config.json.
        case: gives tp.
        limits: what the side's engine is sized for.
        graphs: the engine is one that captures CUDA graphs.
        overrides: values of config.json that replace others (a mock that differs on purpose).

    Raises:
        InputError: ``tp`` does not divide the heads, ranks exist, or the configuration that came
            out has no sparse attention.
    """
    heads = op.local_heads(case.tp)
    values = {**SURROUNDINGS, **op.dimensions}
    values |= {"num_attention_heads": heads, "num_key_value_heads": heads, **overrides}
    offered = {
        "mapping": make_mapping(api),
        "attn_backend": "TRTLLM",
        "moe_backend": "CUTLASS",
        "skip_create_weights_in_init": True,
        "max_num_tokens": limits.max_num_tokens,
        "max_seq_len": limits.max_seq_len,
        "use_cuda_graph": graphs,
    }
    with tempfile.TemporaryDirectory(prefix="harness-trtllm-") as folder:
        (Path(folder) / "config.json").write_text(json.dumps(values), encoding="utf-8")
        # from_pretrained(**kwargs) hands on to the constructor, whose names are the ones to ask
        keywords = api.fitting(api.ModelConfig, ("mapping", "attn_backend"), offered)
        config = api.ModelConfig.from_pretrained(folder, **keywords)
    if getattr(config, "sparse_attention_config", None) is None:
        raise InputError(
            f"ModelConfig.from_pretrained of tensorrt_llm {api.version} made no "
            f"sparse_attention_config for {values['architectures'][0]}",
            fix="use a release whose ModelConfig supports DeepSeek-V3.2",
        )
    return config


def make_mapping(api: Api) -> Any:
    """One rank. Tensor parallelism is the local head count, as the collectors do it.

    Raises:
        InputError: this process is one of several ranks, where that would be a third thing.
    """
    import torch

    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        ranks = distributed.get_world_size()
        if ranks > 1:
            raise InputError(
                f"this process is one of {ranks} ranks, and tensorrt_llm sides are built for one",
                fix="run without torchrun; --tp alone sets the local head count",
            )
    return api.Mapping(world_size=1, rank=0, tp_size=1, pp_size=1)


def head_dim(model_config: Any) -> int:
    """Elements per token in the latent KV cache: compressed KV and the rotary part (576)."""
    values = model_config.pretrained_config
    return int(values.kv_lora_rank) + int(values.qk_rope_head_dim)
