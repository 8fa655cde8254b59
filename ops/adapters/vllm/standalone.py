"""The mock: one module of vLLM with caches and metadata made the way a collector makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ops.adapters.vllm import plan
from ops.adapters.vllm.capture import host_state, metadata_of
from ops.adapters.vllm.config import Sizes
from ops.adapters.vllm.engine import Engine
from ops.case import Case

if TYPE_CHECKING:
    import torch


class Standalone:
    """A module, its paged caches (one contiguous run of blocks per request) and its metadata.

    Args:
        engine: the side's own.
        build: makes the module from a configuration and a top-k buffer.
        case, sizes: what the caches and buffers have to hold.
    """

    def __init__(
        self,
        engine: Engine,
        build: Callable[[Any, torch.Tensor], torch.nn.Module],
        case: Case,
        sizes: Sizes,
    ) -> None:
        import torch
        from vllm.platforms import current_platform

        self.engine = engine
        self.case = case
        top_k = (sizes.batched_tokens, engine.config.model_config.hf_config.index_topk)
        with engine.build_scope():
            buffer = torch.empty(top_k, dtype=torch.int32)
            self.module = build(engine.config, buffer).eval()
        current_platform.update_block_size_for_backend(engine.config)
        self.block_size: int = engine.config.cache_config.block_size
        width = plan.blocks_for(sizes.model_len, self.block_size)
        self._table = plan.contiguous_block_table(
            case.batch_size, case.kv_len, self.block_size, width
        )
        self._builders = self._make_caches(sizes.cache_blocks(case, self.block_size))

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """Every parameter by name, the absorbed projections among them."""
        return dict(self.module.named_parameters())

    def process_weights(self) -> None:
        """Derive the weights that vLLM computes after loading (absorbed projections)."""
        from vllm.model_executor.model_loader.utils import process_weights_after_loading

        with self.engine.scope():
            process_weights_after_loading(
                self.module, self.engine.config.model_config, self.engine.device
            )

    def run(self, step: plan.Step, hidden_states: torch.Tensor) -> Any:
        """One forward that is neither timed nor recorded: a part of the prefill.

        Args:
            hidden_states: [requests * step.length, hidden].
        """
        self.prepare(step, hidden_states)
        with self.context():
            return self.call()

    def prepare(self, step: plan.Step, hidden_states: torch.Tensor) -> None:
        """Make positions, slots and metadata of ``step`` once, outside of what is timed."""
        import torch

        device = self.engine.device
        slots = torch.from_numpy(plan.slot_mapping(self._table, step, self.block_size)).to(device)
        numbers = torch.from_numpy(plan.positions(self.case.batch_size, step)).to(device)
        with torch.inference_mode(), self.engine.scope():
            self._forward_context = self._make_forward_context(step, slots)
        self._args = (numbers, hidden_states, None)
        self._state = host_state(self.engine, self._forward_context)

    def call(self) -> Any:
        """One forward."""
        return self.module(*self._args)

    def context(self) -> AbstractContextManager[None]:
        """The metadata of `prepare`."""
        return self.engine.forward_scope(self._forward_context)

    def metadata(self) -> Mapping[str, Any]:
        """What the attention reads beside its arguments."""
        return metadata_of(self._forward_context)

    def reset(self) -> None:
        """Assert that metadata and caches are those of `prepare`, as far as `host_state` tells."""
        if host_state(self.engine, self._forward_context) != self._state:
            raise AssertionError("the attention metadata or the KV caches changed after prepare()")

    def close(self) -> None:
        """Let go of the module, its caches and its engine."""
        self.engine.close()
        vars(self).clear()

    def _make_caches(self, blocks: int) -> dict[str, Any]:
        import torch

        builders: dict[str, Any] = {}
        for name, layer in self.engine.layers.items():
            spec, backend = layer.get_kv_cache_spec(self.engine.config), layer.get_attn_backend()
            shape = backend.get_kv_cache_shape(
                blocks,
                spec.block_size,
                1,
                spec.head_size,
                cache_dtype_str=getattr(layer, "kv_cache_dtype", "auto"),
            )
            layer.kv_cache = torch.zeros(shape, dtype=spec.dtype, device=self.engine.device)
            with self.engine.scope():
                builders[name] = backend.get_builder_cls()(
                    spec, [name], self.engine.config, self.engine.device
                )
        return builders

    def _make_forward_context(self, step: plan.Step, slots: torch.Tensor) -> Any:
        import torch
        from vllm.forward_context import get_forward_context, set_forward_context
        from vllm.v1.attention.backend import CommonAttentionMetadata

        batch, device = self.case.batch_size, self.engine.device
        starts = torch.from_numpy(plan.query_starts(batch, step))
        lengths = torch.full((batch,), step.end, dtype=torch.int32)
        common = CommonAttentionMetadata(
            query_start_loc=starts.to(device),
            query_start_loc_cpu=starts,
            seq_lens=lengths.to(device),
            seq_lens_cpu_upper_bound=lengths,
            num_reqs=batch,
            num_actual_tokens=batch * step.length,
            max_query_len=step.length,
            max_seq_len=step.end,
            block_table_tensor=torch.from_numpy(self._table).to(device),
            slot_mapping=slots,
        )
        metadata = {name: maker.build(0, common) for name, maker in self._builders.items()}
        mapping = dict.fromkeys(metadata, slots)
        tokens = batch * step.length
        with set_forward_context(
            metadata, self.engine.config, num_tokens=tokens, slot_mapping=mapping
        ):
            return get_forward_context()
