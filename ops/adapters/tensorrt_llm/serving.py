"""The reference: ``self_attn`` inside the running decoder layer, on the path that serving takes.

Source of what serving does: tensorrt_llm/_torch/pyexecutor/model_engine.py, cuda_graph_runner.py
and tools/layer_wise_benchmarks/runner.py of NVIDIA/TensorRT-LLM.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ops.adapters.calls import Arguments, noted
from ops.adapters.tensorrt_llm import cache, layer
from ops.adapters.tensorrt_llm.cache import Pool, Step
from ops.adapters.tensorrt_llm.config import Limits
from ops.adapters.tensorrt_llm.probing import Api
from ops.case import Case

if TYPE_CHECKING:
    import torch

MAX_NUM_TOKENS = 8192
"""Default of ``max_num_tokens`` in serving; a longer prompt is prefilled in chunks of it."""

FLASH_MLA_PAGE, PAGE = 64, 32
"""Serving takes pages of 64 tokens where ``enable_flash_mla`` holds, else KvCacheConfig's 32."""

HIDDEN_STATES = 1
"""Their position in ``self_attn(position_ids, hidden_states, ...)``."""


def limits_of(case: Case) -> Limits:
    """An engine for the whole model length, sized not to the case but to what it can serve."""
    return Limits(max(MAX_NUM_TOKENS, case.new_tokens), max(163840, case.kv_len))


class Serving:
    """A decoder layer that has run its prefill and one forward of the case.

    Args:
        api: the found release.
        model_config: the reference's own.
        built: its decoder layer, not yet finished.
        path: of the operator in the layer.
        case: the case.
        device: of weights and inputs.

    Attributes:
        module: the operator.
        past: hidden states that entered it in each prefill chunk, each [batch, chunk, hidden].
        hidden_states: those that entered it in the forward of the case, [batch, new, hidden].
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
        self._limits = limits_of(case)
        layer.finish(built)
        self.layer = built
        self.module = built.get_submodule(path)
        self.manager = cache.make_manager(api, model_config, self._pool())
        self.past: list[torch.Tensor] = []
        self._chunked = False

    def run(self, past: list[torch.Tensor], new: torch.Tensor) -> None:
        """Prefill ``past`` and run ``new`` once, noting what the layer passes down.

        Args:
            past: embeddings per chunk, each [batch, chunk, hidden].
            new: embeddings of the new tokens, [batch, new tokens, hidden].
        """
        is_context = self._case.phase == "context"
        # an engine has chunked prefill for all its forwards or for none
        self._chunked = len(past) > 1 or (is_context and bool(past))
        done = 0
        for chunk in past:
            step = Step(self._case.batch_size, chunk.shape[1], done, is_context=True)
            entered = self._forward(step, chunk).hidden_states(HIDDEN_STATES)
            self.past.append(entered.view_as(chunk))
            done += chunk.shape[1]
        step = Step(self._case.batch_size, new.shape[1], done, is_context)
        self._alone = self._forward(step, new)
        self.hidden_states = self._alone.hidden_states(HIDDEN_STATES).view_as(new)
        self.reset()

    def call_alone(self) -> Any:
        """Run the operator with the inputs that the running layer gave it."""
        return self.module(*self._alone.args, **self._alone.kwargs)

    def call_layer(self) -> Any:
        """Run the whole decoder layer."""
        return self.layer(**self._whole)

    def context(self) -> AbstractContextManager[Any]:
        """What a call runs inside; decoding is captured, and warmed up for it, multi-stream."""
        return cache.forward_context(
            self._api,
            self._config,
            self.metadata,
            self._device,
            multi_stream=not self._step.is_context,
        )

    def reset(self) -> None:
        """Assert the state that a call starts from."""
        cache.check_state(self.metadata, self._step)

    def _forward(self, step: Step, embeddings: torch.Tensor) -> Arguments:
        """Run the layer on [batch, new, hidden] embeddings and return what reached the operator."""
        self._step = step
        self.metadata = self._make_metadata(step)
        self.metadata.prepare()
        self._whole = self._layer_inputs(step, embeddings)
        with noted(self.module) as inputs, self.context():
            self.call_layer()
        return inputs

    def _make_metadata(self, step: Step) -> Any:
        metadata = cache.make_metadata(
            self._api,
            self._config,
            self.manager,
            step,
            max_num_tokens=self._limits.max_num_tokens,
            flash_mla=bool(self._config.enable_flash_mla),
            cached_context=self._chunked,
            features={
                "chunked_prefill": self._chunked,
                "chunk_size": self._limits.max_num_tokens,
            },
            device=self._device,
            indexer=getattr(self.module, "indexer", None),
        )
        for_graphs = getattr(metadata, "create_cuda_graph_metadata", None)
        if step.is_context or for_graphs is None:
            return metadata
        return for_graphs(step.batch)  # decoding runs in graphs, from buffers that stay in place

    def _layer_inputs(self, step: Step, embeddings: torch.Tensor) -> dict[str, Any]:
        """As ``DeepseekV3Model.forward`` calls layer 0: positions are int32 [1, tokens]."""
        import torch

        inputs = {
            "position_ids": cache.positions(step, step.cached, torch.int32, self._device).unsqueeze(
                0
            ),
            "hidden_states": embeddings.reshape(step.tokens, -1),
            "attn_metadata": self.metadata,
            "residual": None,
        }
        taken = inspect.signature(self.layer.forward).parameters
        return {name: value for name, value in inputs.items() if name in taken}

    def _pool(self) -> Pool:
        """A cache for the engine's longest request, or for the whole batch when that is more."""
        size = FLASH_MLA_PAGE if self._config.enable_flash_mla else PAGE
        case, longest = self._case, self._limits.max_seq_len
        batch_tokens = case.batch_size * (-(-case.kv_len // size) * size)
        return Pool(
            case.batch_size,
            max(batch_tokens, longest),
            longest,
            size,
            case.kv_len,
            self._limits.max_num_tokens,
        )
