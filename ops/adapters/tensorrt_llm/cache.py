"""KV cache managers and attention metadata, with the keywords of the found release.

What goes into them is each side's own affair (`standalone`, `serving`); this only spells it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.adapters.tensorrt_llm.config import head_dim
from ops.adapters.tensorrt_llm.probing import Api

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Step:
    """One forward of a batch of equal requests.

    Attributes:
        batch: requests.
        new: new tokens per request.
        cached: tokens per request that are in the cache before it.
        is_context: prefill (a chunk of it), as against decoding.
    """

    batch: int
    new: int
    cached: int
    is_context: bool

    @property
    def tokens(self) -> int:
        """New tokens of the batch, the first dimension of hidden states."""
        return self.batch * self.new


@dataclass(frozen=True)
class Pool:
    """Size of a KV cache manager.

    Attributes:
        batch: requests it has room for.
        tokens: of all requests together, before rounding up to blocks.
        max_seq_len: longest request.
        tokens_per_block: of a page.
        reserved: tokens per request that get their blocks at once.
        max_num_tokens: new tokens of a forward; None leaves the release's default.
    """

    batch: int
    tokens: int
    max_seq_len: int
    tokens_per_block: int
    reserved: int
    max_num_tokens: int | None = None


def make_manager(api: Api, model_config: Any, pool: Pool) -> Any:
    """A KV cache manager for one layer whose requests 0..batch-1 have their blocks.

    The DSA manager took ``sparse_attn_config`` in 1.2 and takes ``sparse_attention_config`` with
    ``pretrained_config`` in 1.3; ``get_kv_cache_manager_cls`` has a second argument in 1.3.
    """
    import torch

    blocks = -(-pool.tokens // pool.tokens_per_block)
    cache_config = api.KvCacheConfig(
        max_tokens=blocks * pool.tokens_per_block, enable_block_reuse=False
    )
    choose = api.get_kv_cache_manager_cls
    extra = api.fitting(choose, (), {"kv_cache_config": cache_config})
    manager_class = choose(model_config, **extra)
    offered = {
        "num_layers": 1,
        "num_kv_heads": 1,
        "head_dim": head_dim(model_config),
        "tokens_per_block": pool.tokens_per_block,
        "max_seq_len": pool.max_seq_len,
        "max_batch_size": pool.batch,
        "mapping": model_config.mapping,
        "dtype": api.torch_dtype_to_binding(torch.bfloat16),
        "layer_mask": [True],
        "pretrained_config": model_config.pretrained_config,
        "model_config": model_config,
    }
    if pool.max_num_tokens is not None:
        offered["max_num_tokens"] = pool.max_num_tokens
    required = ("num_layers", "head_dim", "tokens_per_block", "max_seq_len", "max_batch_size")
    keywords = api.fitting(manager_class, required, offered)
    sparse = model_config.sparse_attention_config
    keywords |= api.one_of(
        manager_class,
        {"sparse_attention_config": lambda: sparse, "sparse_attn_config": lambda: sparse},
    )
    manager = manager_class(cache_config, api.CacheType.SELFKONLY, **keywords)
    manager.add_dummy_requests(list(range(pool.batch)), [pool.reserved] * pool.batch)
    return manager


def make_metadata(
    api: Api,
    model_config: Any,
    manager: Any,
    step: Step,
    *,
    max_num_tokens: int,
    flash_mla: bool,
    cached_context: bool,
    features: dict[str, Any],
    device: str,
    indexer: Any,
) -> Any:
    """Attention metadata of a step, not yet prepared.

    Args:
        api: the found release.
        model_config: of the side.
        manager: KV cache manager of the side.
        step: the forward.
        max_num_tokens: new tokens that its buffers have room for.
        flash_mla: lay out block tables for FlashMLA.
        cached_context: prefill may find tokens in the cache; the DSA indexer then gathers them.
        features: fields of ``AttentionRuntimeFeatures``.
        device: of the workspace, which starts empty and grows on the first forward.
        indexer: the module's indexer, which ``prepare()`` asks for its tables; None without one.
    """
    import torch

    metadata_class = _backend(api, model_config).Metadata
    runtime = api.AttentionRuntimeFeatures
    offered = {
        "seq_lens": torch.tensor([step.new] * step.batch, dtype=torch.int32),
        "request_ids": list(range(step.batch)),
        "max_num_requests": step.batch,
        "max_num_sequences": step.batch,
        "max_num_tokens": max_num_tokens,
        "num_contexts": step.batch if step.is_context else 0,
        # of a prefill chunk its own tokens, of a decoding request those of its prompt
        "prompt_lens": [step.new if step.is_context else step.cached] * step.batch,
        "kv_cache_manager": manager,
        "kv_cache_params": api.KVCacheParams(
            use_cache=True, num_cached_tokens_per_seq=[step.cached] * step.batch
        ),
        "mapping": model_config.mapping,
        "enable_flash_mla": flash_mla,
        "enable_context_mla_with_cached_kv": cached_context,
        "runtime_features": runtime(**api.fitting(runtime, (), features)),
        "workspace": torch.tensor([], device=device, dtype=torch.int8),
    }
    required = ("seq_lens", "num_contexts", "prompt_lens", "kv_cache_manager", "kv_cache_params")
    keywords = api.fitting(metadata_class, required, offered)
    keywords |= api.one_of(metadata_class, _sparse_metadata(model_config))
    metadata = metadata_class(**keywords)
    if indexer is not None:
        metadata.indexer = indexer
    return metadata


def _backend(api: Api, model_config: Any) -> Any:
    """The attention backend class; its second argument has had three names."""
    sparse = model_config.sparse_attention_config
    chosen = api.one_of(
        api.get_attention_backend,
        {
            "sparse_params": lambda: sparse.to_sparse_params(
                pretrained_config=model_config.pretrained_config
            ),
            "sparse_attention_config": lambda: sparse,
            "sparse_attn_config": lambda: sparse,
        },
    )
    return api.get_attention_backend(model_config.attn_backend, **chosen)


def _sparse_metadata(model_config: Any) -> dict[str, Callable[[], Any]]:
    """What metadata wants to know of sparse attention: lowered in 1.3, the configuration in 1.2."""
    sparse = model_config.sparse_attention_config
    return {
        "sparse_metadata_params": lambda: sparse.to_sparse_metadata_params(
            pretrained_config=model_config.pretrained_config
        ),
        "sparse_attention_config": lambda: sparse,
    }


@contextmanager
def forward_context(
    api: Api, model_config: Any, metadata: Any, device: str, *, multi_stream: bool
) -> Iterator[None]:
    """What a forward runs inside: TensorRT-LLM's custom ops look up layer and metadata there."""
    import weakref

    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if device.startswith("cuda"):
            stack.enter_context(torch.cuda.device(device))
        stack.enter_context(api.model_extra_attrs(model_config.extra_attrs))
        api.get_model_extra_attrs()["attention_metadata"] = weakref.ref(metadata)
        if multi_stream:
            stack.enter_context(api.with_multi_stream(True))
        yield


def check_state(metadata: Any, step: Step) -> None:
    """Assert that metadata still describes ``step``; reads host values, launches nothing.

    A forward writes its new tokens into the same slots of the cache each time, so metadata that
    still counts the same cached tokens is the state a call starts from.

    Raises:
        AssertionError: something advanced it.
    """
    found = {
        "num_cached_tokens_per_seq": list(metadata.kv_cache_params.num_cached_tokens_per_seq),
        "seq_lens": metadata.seq_lens.tolist(),
        "num_contexts": metadata.num_contexts,
    }
    expected = {
        "num_cached_tokens_per_seq": [step.cached] * step.batch,
        "seq_lens": [step.new] * step.batch,
        "num_contexts": step.batch if step.is_context else 0,
    }
    for name, value in expected.items():
        if found[name] != value:
            raise AssertionError(
                f"{name} of the attention metadata is {found[name]} before a call, expected {value}"
            )


def capability(device: str) -> tuple[int, int]:
    """Compute capability of a CUDA device; (0, 0) of another one."""
    import torch

    if not device.startswith("cuda"):
        return (0, 0)
    return torch.cuda.get_device_capability(device)


def positions(step: Step, first: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Positions ``first, first + 1, ...`` of every request's new tokens, [tokens]."""
    import torch

    one = torch.arange(first, first + step.new, dtype=dtype, device=device)
    return one.repeat(step.batch)
