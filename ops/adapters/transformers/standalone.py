"""The mock: the attention class alone, with inputs made the way a collector makes them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ops.adapters import weights
from ops.adapters.transformers.kv_state import KvState, new_cache

if TYPE_CHECKING:
    import torch


class Standalone:
    """One attention module with a mask, positions, rotary embedding and cache of its own.

    Args:
        config: the mock's own configuration.
        recipe: ``model_type`` and the class names ``attention`` and ``rotary``.
        device, dtype: of weights and inputs.
        seed: of weights that are not shared.
    """

    def __init__(
        self, config: Any, recipe: dict[str, Any], device: str, dtype: torch.dtype, seed: int
    ) -> None:
        import torch

        kind = recipe["model_type"]
        classes = import_module(f"transformers.models.{kind}.modeling_{kind}")
        with torch.device(device):
            self.module: torch.nn.Module = (
                getattr(classes, recipe["attention"])(config, layer_idx=0).to(dtype).eval()
            )
            self._rotary = getattr(classes, recipe["rotary"])(config)
        weights.initialize(self.module, seed)
        self.cache = new_cache(config)

    def prefill(self, past: Iterable[torch.Tensor]) -> None:
        """Fill the cache with the past tokens, a chunk at a time.

        Args:
            past: hidden states per chunk, each [batch, chunk, hidden].
        """
        done = 0
        for chunk in past:
            self.module(**self._inputs(chunk))
            done += chunk.shape[1]
        self.state = KvState(self.cache, done)

    def prepare(self, hidden_states: torch.Tensor) -> None:
        """Make the inputs of the call once, outside of what is timed and recorded."""
        self._call_inputs = self._inputs(hidden_states)

    def call(self) -> Any:
        """One forward."""
        return self.module(**self._call_inputs)

    def _inputs(self, hidden_states: torch.Tensor) -> dict[str, Any]:
        import torch

        batch, new, _ = hidden_states.shape
        device = hidden_states.device
        past = int(self.cache.get_seq_length())
        positions = torch.arange(past, past + new, device=device).unsqueeze(0)
        causal = torch.ones(new, past + new, dtype=torch.bool, device=device).tril(past)
        return {
            "hidden_states": hidden_states,
            "position_embeddings": self._rotary(hidden_states, positions),
            "attention_mask": causal.expand(batch, 1, new, past + new),
            "past_key_values": self.cache,
            "position_ids": positions,
            "use_cache": True,  # not read by the attention; the model passes it down
        }
