"""The reference: ``self_attn`` of a decoder layer inside the model, with the model's own inputs.

The model's forward makes mask, positions, rotary embedding and cache; hooks note what reaches the
layer and its submodule. Nothing here computes such a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.adapters import weights
from ops.adapters.calls import noted
from ops.adapters.transformers.kv_state import KvState, new_cache

if TYPE_CHECKING:
    import torch

HIDDEN_STATES = 0
"""Their position in ``self_attn(hidden_states, ...)``."""


class ModelPath:
    """A one-layer model that has run its prefill and one forward of the case.

    Attributes:
        submodule: the operator inside the layer.
        past: hidden states that entered the submodule in each prefill chunk, each
            [batch, chunk, hidden].
        hidden_states: hidden states that entered it in the forward of the case.
        call_alone, call_layer: run the submodule, or the layer, with the inputs of that forward.
    """

    def __init__(self, config: Any, path: str, device: str, dtype: torch.dtype, seed: int) -> None:
        import torch
        from transformers import AutoModel

        with torch.device(device):
            self.model = AutoModel.from_config(config, dtype=dtype).eval()
        weights.initialize(self.model, seed)
        self.layer = self.model.layers[0]
        self.submodule: torch.nn.Module = self.layer.get_submodule(path)
        self.past: list[torch.Tensor] = []
        self.cache = new_cache(config)
        self._config = config

    def run(self, past: list[torch.Tensor], new: torch.Tensor) -> None:
        """Prefill ``past`` and run ``new`` once, noting what the model passes down.

        Args:
            past: embeddings per chunk, each [batch, chunk, hidden].
            new: embeddings of the new tokens, [batch, new tokens, hidden].
        """
        for chunk in past:
            with noted(self.submodule) as inputs:
                self._forward(chunk)
            self.past.append(inputs.hidden_states(HIDDEN_STATES))
        self.state = KvState(self.cache, sum(chunk.shape[1] for chunk in past))
        with noted(self.submodule) as alone, noted(self.layer) as whole:
            self._forward(new)
        self.hidden_states = alone.hidden_states(HIDDEN_STATES)
        self._alone, self._whole = alone, whole
        self.state.reset()

    def call_alone(self) -> Any:
        """Run the submodule with the inputs that the running model gave it."""
        return self.submodule(*self._alone.args, **self._alone.kwargs)

    def call_layer(self) -> Any:
        """Run the whole decoder layer with the inputs that the running model gave it."""
        return self.layer(*self._whole.args, **self._whole.kwargs)

    def _forward(self, embeddings: torch.Tensor) -> None:
        self.model(inputs_embeds=embeddings, past_key_values=self.cache, use_cache=True)
