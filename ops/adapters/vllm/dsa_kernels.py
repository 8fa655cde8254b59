"""A mock that is known to differ: DSA put together from single kernels of three libraries.

It computes what the layer computes (absorbed MLA over the latents that a top-k indexer selects),
but with TensorRT-LLM's GEMMs, quantiser and top-k, and with unfused PyTorch in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ops.adapters.vllm import plan, rotary
from ops.adapters.vllm.kernel_caches import BLOCK, KernelCaches
from ops.adapters.vllm.kernel_indexer import KernelIndexer
from ops.adapters.vllm.kernel_ops import down_projection, matmul
from ops.case import Case

if TYPE_CHECKING:
    import torch

HEAD_MULTIPLE = 64
"""FlashMLA's sparse forward on sm_90 takes multiples of 64 query heads."""


class KernelMock:
    """The hand-assembled attention.

    Args:
        values: as in config.json, with the local heads.
        case: sizes the caches.
        weights: by the names of vLLM's ``DeepseekV2MLAAttention``; copied.
        device: of the caches.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        case: Case,
        weights: Mapping[str, torch.Tensor],
        device: torch.device,
    ) -> None:
        self.values = values
        self.case = case
        self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self._absorbed = {
            name.rpartition(".")[2]: tensor
            for name, tensor in self.weights.items()
            if name.endswith(("W_UK_T", "W_UV"))
        }
        self._device = device
        self._rope = int(values["qk_rope_head_dim"])
        self._latent = int(values["kv_lora_rank"])
        self._scale = rotary.softmax_scale(values)
        latent, key = self._latent + self._rope, int(values["index_head_dim"])
        self._caches = KernelCaches(case.batch_size, case.kv_len, latent, key, device)
        self._indexer = KernelIndexer(values, self.weights, self._caches, case.batch_size)

    @property
    def module(self) -> None:
        """It is no ``nn.Module``."""
        return

    def run(self, step: plan.Step, hidden_states: torch.Tensor) -> Any:
        """One forward that is neither timed nor recorded: a part of the prefill."""
        self.prepare(step, hidden_states)
        with self.context():
            return self.call()

    def prepare(self, step: plan.Step, hidden_states: torch.Tensor) -> None:
        """Make slots, rotary tables and lengths of ``step`` once.

        Args:
            hidden_states: [requests * step.length, hidden] bfloat16.
        """
        import torch

        self._step, self._hidden_states = step, hidden_states
        slots = plan.slot_mapping(self._caches.host_table, step, BLOCK)
        self._slots = torch.from_numpy(slots).to(self._device)
        numbers = torch.from_numpy(plan.positions(self.case.batch_size, step)).to(self._device)
        self._cos, self._sin = rotary.table(self.values, numbers)
        self._indexer.prepare(step, (numbers + 1).to(torch.int32))

    def context(self) -> AbstractContextManager[Any]:
        """No gradients; these kernels need no forward context."""
        import torch

        return torch.inference_mode()

    def metadata(self) -> Mapping[str, Any]:
        """Nothing: it has no module whose call could be compared."""
        return {}

    def reset(self) -> None:
        """Assert that there are caches, and a slot per new token; a call writes the same again."""
        tokens = self.case.batch_size * self._step.length
        if self._slots.numel() != tokens or self._caches.latent.numel() == 0:
            raise AssertionError("the caches or the slots of the hand-assembled mock changed")

    def close(self) -> None:
        """Let go of weights and caches."""
        vars(self).clear()

    def call(self) -> torch.Tensor:
        """One forward: [tokens, hidden]."""
        import torch

        states, rope, latent = self._hidden_states, self._rope, self._latent
        down = down_projection(states, self.weights["fused_qkv_a_proj.weight"])
        query_low, kv, key_rope = down.split([down.shape[1] - latent - rope, latent, rope], dim=1)
        query_low = self._rms(query_low, "q_a_layernorm.weight")
        key_rope = rotary.rotate(key_rope[:, None], self._cos, self._sin, interleaved=True)[:, 0]
        entry = torch.cat([self._rms(kv, "kv_a_layernorm.weight"), key_rope], 1)
        keys, scales, head_weights = self._indexer.keys(states, self._cos, self._sin)
        self._caches.write(self._slots, entry, keys, scales)
        chosen = self._indexer.choose(query_low, head_weights, self._cos, self._sin)
        mixed = self._attend(self._absorbed_query(query_low), chosen)
        values = torch.bmm(mixed.transpose(0, 1), self._absorbed["W_UV"]).transpose(0, 1)
        return matmul(values.flatten(1), self.weights["o_proj.weight"])

    def _rms(self, states: torch.Tensor, name: str) -> torch.Tensor:
        import torch

        size, eps = (states.shape[-1],), float(self.values["rms_norm_eps"])
        return torch.nn.functional.rms_norm(states, size, self.weights[name], eps)

    def _absorbed_query(self, query_low: torch.Tensor) -> torch.Tensor:
        """Queries in the latent space [tokens, padded heads, latent + rope]."""
        import torch

        nope = int(self.values["qk_nope_head_dim"])
        query = matmul(query_low, self.weights["q_b_proj.weight"]).unflatten(
            1, (-1, nope + self._rope)
        )
        turned = rotary.rotate(query[..., nope:], self._cos, self._sin, interleaved=True)
        flat = query[..., :nope].transpose(0, 1)
        latent = torch.bmm(flat, self._absorbed["W_UK_T"]).transpose(0, 1)
        heads = plan.round_up(query.shape[1], HEAD_MULTIPLE)
        padding = (0, 0, 0, heads - query.shape[1])
        return torch.nn.functional.pad(torch.cat([latent, turned], -1), padding)

    def _attend(self, query: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Sparse attention over the chosen latents: [tokens, heads, latent]."""
        from vllm.v1.attention.ops.flashmla import flash_mla_sparse_fwd

        entries = self._caches.latent[:, None]
        mixed: torch.Tensor = flash_mla_sparse_fwd(query, entries, chosen[:, None], self._scale)[0]
        return mixed[:, : int(self.values["num_attention_heads"])]
