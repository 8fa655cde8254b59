"""The mock: ``self_attn`` standalone, with cache, metadata and positions as a collector makes them.

Source of what a collector does: collector/trtllm/collect_mla_module.py of ai-dynamo/aiconfigurator
(version for 1.3.0rc20 and later, and the earlier one for 1.2).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ops.adapters.tensorrt_llm import cache, layer
from ops.adapters.tensorrt_llm.cache import Pool, Step
from ops.adapters.tensorrt_llm.config import Limits, head_dim
from ops.adapters.tensorrt_llm.probing import Api, release
from ops.case import Case

if TYPE_CHECKING:
    import torch

FLASH_MLA_HEAD_DIM = 576


def limits_of(case: Case) -> Limits:
    """The fixed limits that the collector gives every case, raised only where it would not fit."""
    return Limits(max(131072, case.new_tokens), max(163840, case.kv_len))


class Standalone:
    """``self_attn`` of a layer of its own, called without the layer.

    Args:
        api: the found release.
        model_config: the mock's own.
        built: the mock's own decoder layer, weights shared or not, not yet finished.
        path: of the operator in the layer.
        case: the mock's own case.
        device: of weights and inputs.

    Attributes:
        module: the operator.
    """

    def __init__(
        self,
        api: Api,
        model_config: Any,
        built: torch.nn.Module,
        path: str,
        case: Case,
        device: str,
    ) -> None:
        self._api, self._config, self._case, self._device = api, model_config, case, device
        layer.finish(built)
        self.module = built.get_submodule(path)
        self.manager = cache.make_manager(api, model_config, self._pool())

    def prefill(self, past: Iterable[torch.Tensor]) -> None:
        """Fill the cache, a chunk at a time.

        Args:
            past: hidden states per chunk, each [batch, chunk, hidden].
        """
        done = 0
        for chunk in past:
            step = Step(self._case.batch_size, chunk.shape[1], done, is_context=True)
            self._prepare(step, chunk, first=done)
            with self.context():
                self.call()
            done += chunk.shape[1]

    def prepare(self, hidden_states: torch.Tensor) -> None:
        """Make inputs and metadata of the case, outside of what is timed and recorded.

        Args:
            hidden_states: of the new tokens, [batch, new tokens, hidden].
        """
        case = self._case
        step = Step(case.batch_size, case.seq_len, case.past_len, case.phase == "context")
        # the collector counts the new token into the cache length and decodes at one less
        self._prepare(step, hidden_states, step.cached if step.is_context else step.cached - 1)

    def call(self) -> Any:
        """One forward."""
        return self.module(self._positions, self._hidden, self.metadata)

    def context(self) -> AbstractContextManager[Any]:
        """What a call runs inside; the collector does not switch multi-stream on."""
        return cache.forward_context(
            self._api, self._config, self.metadata, self._device, multi_stream=False
        )

    def reset(self) -> None:
        """Assert the state that a call starts from."""
        cache.check_state(self.metadata, self._step)

    def _prepare(self, step: Step, hidden_states: torch.Tensor, first: int) -> None:
        import torch

        self._step = step
        self._hidden = hidden_states.reshape(step.tokens, -1)
        self._positions = cache.positions(step, first, torch.int64, self._device)
        cached = step.is_context and step.cached > 0
        self.metadata = cache.make_metadata(
            self._api,
            self._config,
            self.manager,
            step,
            max_num_tokens=step.tokens,
            flash_mla=self._flash_mla(),
            cached_context=cached,
            features={"chunked_prefill": False, "cache_reuse": cached},
            device=self._device,
            indexer=getattr(self.module, "indexer", None),
        )
        self.metadata.prepare()

    def _flash_mla(self) -> bool:
        wide = head_dim(self._config) == FLASH_MLA_HEAD_DIM
        return wide and cache.capability(self._device)[0] == 9

    def _pool(self) -> Pool:
        """A cache sized to the case, one token longer than its prefill."""
        case = self._case
        longest = case.kv_len + (1 if case.phase == "context" else 0)
        # 1.2 has pages of 64 everywhere; 1.3 only where FlashMLA wants them
        size = 64 if release(self._api.version) < (1, 3) or self._is_hopper() else 32
        rounded = -(-longest // size) * size
        return Pool(case.batch_size, case.batch_size * rounded, longest, size, case.kv_len)

    def _is_hopper(self) -> bool:
        wide = head_dim(self._config) == FLASH_MLA_HEAD_DIM
        return wide and cache.capability(self._device) == (9, 0)
