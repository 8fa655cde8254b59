"""Paged caches of the hand-assembled mock: latents, and the indexer's fp8 keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.adapters.vllm import plan

if TYPE_CHECKING:
    import torch

BLOCK = 64
"""Tokens per block: what DeepGEMM's paged logits kernel takes."""

SCALE_BYTES = 4


class KernelCaches:
    """One contiguous run of blocks per request.

    Attributes:
        latent: [slots, latent] bfloat16, the compressed KV and the rotary key of each token.
        keys: [blocks, BLOCK * (key + 4)] uint8; in each block first the fp8 keys of its tokens,
            then their float32 scales: DeepGEMM's layout.
        table: [requests, blocks per request] int32.

    Args:
        batch: requests.
        tokens: per request.
        latent_size, key_size: elements per token.
        device: of the caches.
    """

    def __init__(
        self, batch: int, tokens: int, latent_size: int, key_size: int, device: torch.device
    ) -> None:
        import torch

        self.per_request = plan.blocks_for(tokens, BLOCK)
        self.host_table = plan.contiguous_block_table(batch, tokens, BLOCK, self.per_request)
        self.table = torch.from_numpy(self.host_table).to(device)
        blocks = plan.NULL_BLOCKS + batch * self.per_request
        self.latent = torch.zeros(
            (blocks * BLOCK, latent_size), dtype=torch.bfloat16, device=device
        )
        self.keys = torch.zeros(
            (blocks, BLOCK * (key_size + SCALE_BYTES)), dtype=torch.uint8, device=device
        )
        self._key_size = key_size

    @property
    def paged_keys(self) -> torch.Tensor:
        """`keys` as DeepGEMM takes them: [blocks, BLOCK, 1, key + 4] uint8."""
        return self.keys.view(len(self.keys), BLOCK, 1, self._key_size + SCALE_BYTES)

    def write(
        self,
        slots: torch.Tensor,
        latent: torch.Tensor,
        keys: torch.Tensor,
        scales: torch.Tensor,
    ) -> None:
        """Write new tokens.

        Args:
            slots: [tokens] int64.
            latent: [tokens, latent] bfloat16.
            keys: [tokens, key] float8.
            scales: [tokens] float32.
        """
        import torch

        self.latent.index_copy_(0, slots, latent)
        block, offset = slots // BLOCK, slots % BLOCK
        values, factors = self._parts()
        values.index_put_((block, offset), keys.view(torch.uint8))
        factors.index_put_((block, offset), scales)

    def read_keys(self, request: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys [tokens, key] float8 and scales [tokens] of one request, contiguous."""
        import torch

        first = int(self.host_table[request, 0])
        mine = slice(first, first + self.per_request)
        values, factors = self._parts()
        keys = values[mine].reshape(-1, self._key_size)[:tokens]
        return keys.view(torch.float8_e4m3fn), factors[mine].reshape(-1)[:tokens]

    def _parts(self) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        split = BLOCK * self._key_size
        values = self.keys[:, :split].unflatten(1, (BLOCK, self._key_size))
        return values, self.keys.view(torch.float32)[:, split // SCALE_BYTES :]
