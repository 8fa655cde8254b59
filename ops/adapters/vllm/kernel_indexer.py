"""The indexer of the hand-assembled mock: which cached tokens each new token attends to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ops.adapters.vllm import rotary
from ops.adapters.vllm.kernel_caches import BLOCK, KernelCaches
from ops.adapters.vllm.kernel_ops import matmul, quantize
from ops.adapters.vllm.plan import Step, round_up

if TYPE_CHECKING:
    import torch

LOGITS_MULTIPLE = 256
"""Columns of the paged logits are rounded up to this, so that rows stay aligned."""


class KernelIndexer:
    """Scores every cached token with small fp8 heads and keeps the top k.

    Args:
        values: as in config.json.
        weights: ``indexer.*`` of vLLM's attention module.
        caches: keys are written to and read from it.
        batch: requests.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        weights: Mapping[str, torch.Tensor],
        caches: KernelCaches,
        batch: int,
    ) -> None:
        self._weights = weights
        self._caches = caches
        self._batch = batch
        self._heads = int(values["index_n_heads"])
        self._size = int(values["index_head_dim"])
        self._rope = int(values["qk_rope_head_dim"])
        self._top_k = int(values["index_topk"])

    def prepare(self, step: Step, ends: torch.Tensor) -> None:
        """Make row bounds, or DeepGEMM's schedule for one new token per request, once.

        Args:
            ends: [tokens] int32, how many cached tokens each new token may see.
        """
        import torch
        from vllm.utils.deep_gemm import get_num_sms, get_paged_mqa_logits_metadata

        self._step, self._ends = step, ends
        self._starts = torch.zeros_like(ends)
        if step.length == 1:
            self._schedule = get_paged_mqa_logits_metadata(ends[:, None], BLOCK, get_num_sms())

    def keys(
        self, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Keys [tokens, size] float8, their scales [tokens], head weights [tokens, heads]."""
        import torch

        both = matmul(states, self._weights["indexer.wk_weights_proj.weight"])
        norm, bias = self._weights["indexer.k_norm.weight"], self._weights["indexer.k_norm.bias"]
        key = torch.nn.functional.layer_norm(
            both[:, : self._size].float(), (self._size,), norm, bias, 1e-6
        ).to(states.dtype)
        values, scales = quantize(self._turned(key[:, None], cos, sin)[:, 0])
        return values, scales, both[:, self._size :].float()

    def choose(
        self,
        query_low: torch.Tensor,
        head_weights: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
    ) -> torch.Tensor:
        """Slots of the chosen tokens [tokens, top k] int32, -1 where there are fewer."""
        query = matmul(query_low, self._weights["indexer.wq_b.weight"])
        turned = self._turned(query.unflatten(1, (self._heads, self._size)), cos, sin)
        values, scales = quantize(turned.flatten(0, 1))
        fp8 = values.unflatten(0, (-1, self._heads))
        factor = (self._size * self._heads) ** -0.5
        weights = head_weights * scales.view(-1, self._heads) * factor
        if self._step.length == 1:
            return self._choose_paged(fp8, weights)
        return self._choose_contiguous(fp8, weights)

    def _turned(self, states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        import torch

        turned = rotary.rotate(states[..., : self._rope], cos, sin, interleaved=False)
        return torch.cat([turned, states[..., self._rope :]], -1)

    def _choose_contiguous(self, query: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """One logits call per request, so that their memory stays [length, KV length]."""
        import torch
        from vllm.utils.deep_gemm import fp8_fp4_mqa_logits

        length = self._step.length
        local = self._ends.new_empty(len(query), self._top_k)
        for request in range(self._batch):
            rows = slice(request * length, (request + 1) * length)
            keys = self._caches.read_keys(request, self._step.end)
            starts, ends = self._starts[rows], self._ends[rows]
            logits = fp8_fp4_mqa_logits(
                (query[rows], None), keys, weights[rows], starts, ends, clean_logits=False
            )
            torch.ops.trtllm.indexer_topk_prefill(logits, starts, ends, local[rows], self._top_k)
        return self._to_slots(local)

    def _choose_paged(self, query: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        import torch
        from vllm.utils.deep_gemm import fp8_fp4_paged_mqa_logits

        logits = fp8_fp4_paged_mqa_logits(
            (query[:, None], None),
            self._caches.paged_keys,
            weights,
            self._ends[:, None],
            self._caches.table,
            self._schedule,
            max_model_len=round_up(self._step.end, LOGITS_MULTIPLE),
            clean_logits=False,
        )
        local = self._ends.new_empty(len(query), self._top_k)
        torch.ops.trtllm.indexer_topk_decode(logits, self._ends, local, 1, self._top_k)
        return self._to_slots(local)

    def _to_slots(self, local: torch.Tensor) -> torch.Tensor:
        """Positions within a request to slots: the blocks of a request lie one after the other."""
        import torch

        firsts = self._caches.table[:, :1] * BLOCK
        slots = local + firsts.repeat_interleave(self._step.length, 0)
        return torch.where(local >= 0, slots, local)
