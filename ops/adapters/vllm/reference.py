"""The reference: ``self_attn`` of a decoder layer that vLLM's model runner, or a builder, runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ops.adapters import weights
from ops.adapters.hidden_states import seeded_hidden_states
from ops.adapters.vllm import plan
from ops.adapters.vllm.capture import Call, Replay, captured, hidden_states
from ops.adapters.vllm.config import Sizes
from ops.adapters.vllm.engine import Engine
from ops.adapters.vllm.modules import decoder_layer
from ops.adapters.vllm.requests import Requests
from ops.adapters.vllm.standalone import Standalone
from ops.case import Case

if TYPE_CHECKING:
    import torch

ReferenceKind = Literal["runner", "layer"]
SEED_WEIGHTS, SEED_HIDDEN = 1, 2

NOTES: dict[ReferenceKind, str] = {
    "runner": "reference: vLLM's GPUModelRunner loaded the model and executed scheduler outputs; "
    "positions, block table, slot mapping, attention metadata and forward context are the runner's",
    "layer": "reference: a DeepseekV2DecoderLayer driven directly; positions, block table, slot "
    "mapping and common metadata are made by this adapter, the rest by vLLM's metadata builders",
}


class Reference:
    """A decoder layer that has run every step of a case.

    Attributes:
        replay: calls the layer or its attention again as in the last step.
        past: hidden states that entered the attention per prefill step, each
            [requests, length, hidden].
        new: those of the last step.
    """

    replay: Replay
    past: list[torch.Tensor]
    new: torch.Tensor

    def __init__(self, engine: Engine, case: Case, sizes: Sizes, submodule: str) -> None:
        self.engine = engine
        self._case = case
        self._sizes = sizes
        self._submodule = submodule

    @property
    def remarks(self) -> tuple[str, ...]:
        """What vLLM does differently at this size."""
        top_k = int(self.engine.config.model_config.hf_config.index_topk)
        if self._case.phase == "generation" or self._case.kv_len > top_k:
            return ()
        return (
            f"KV length {self._case.kv_len} <= index_topk {top_k}: vLLM may run dense attention "
            "(FlashAttention) on these new tokens instead of sparse attention",
        )

    def close(self) -> None:
        """Let go of the model, its caches and its engine."""
        self.engine.close()
        vars(self.replay).clear()
        vars(self).clear()

    def _run(self, layer: torch.nn.Module, forward: Any) -> None:
        """Run every step; ``forward(step, last)`` runs one through ``layer``."""
        attention = layer.get_submodule(self._submodule)
        entered: list[torch.Tensor] = []
        steps = plan.steps(self._case)
        layer_call: Call | None = None
        attention_call: Call | None = None
        for step in steps:
            with captured(layer) as layer_calls, captured(attention) as attention_calls:
                forward(step, step is steps[-1])
            (layer_call,), (attention_call,) = layer_calls, attention_calls
            states = hidden_states(attention_call)
            entered.append(states.view(self._case.batch_size, step.length, -1))
        assert layer_call is not None  # there is always a last step
        assert attention_call is not None
        *self.past, self.new = entered
        self.replay = Replay(self.engine, layer, attention, layer_call, attention_call)


def absorb(attention: torch.nn.Module, dtype: torch.dtype) -> None:
    """Derive the absorbed projections W_UV and W_UK_T again, in place, from new weights."""
    import torch

    with torch.no_grad():
        for module in attention.modules():
            if hasattr(module, "W_UK_T"):
                module.process_weights_after_loading(dtype)  # type: ignore[operator]


class RunnerReference(Reference):
    """The model inside vLLM's own ``GPUModelRunner``, driven by scheduler outputs."""

    def __init__(self, engine: Engine, case: Case, sizes: Sizes, submodule: str) -> None:
        from vllm.platforms import current_platform
        from vllm.v1.worker.gpu_model_runner import GPUModelRunner

        super().__init__(engine, case, sizes, submodule)
        with engine.scope():
            self._runner = GPUModelRunner(engine.config, engine.device)
            self._runner.load_model()
        model = self._runner.get_model()
        weights.initialize(model, SEED_WEIGHTS)
        absorb(model, engine.config.model_config.dtype)
        current_platform.update_block_size_for_backend(engine.config)
        self._make_caches()
        block_size = engine.config.cache_config.block_size
        vocabulary = engine.config.model_config.get_vocab_size()
        self._requests = Requests(case, block_size, vocabulary)
        self._run(model.model.layers[0], self._forward)

    def _make_caches(self) -> None:
        from vllm.v1.core.kv_cache_utils import get_kv_cache_configs

        config = self.engine.config
        specs = self._runner.get_kv_cache_spec()
        blocks = self._sizes.cache_blocks(self._case, config.cache_config.block_size)
        memory = blocks * sum(spec.page_size_bytes for spec in specs.values())
        with self.engine.scope():
            (caches,) = get_kv_cache_configs(config, [specs], [memory])
            assert len(caches.kv_cache_groups) == 1, "one block table is made per request"
            config.cache_config.num_gpu_blocks = caches.num_blocks
            self._runner.initialize_kv_cache(caches)

    def _forward(self, step: plan.Step, last: bool) -> None:
        with self.engine.scope():
            self._runner.execute_model(self._requests.schedule(step))
            if not last:  # the tokens sampled after the last step are of no use
                self._runner.sample_tokens(None)


class LayerReference(Reference):
    """A decoder layer alone, with metadata made as for the mock but of its own."""

    def __init__(self, engine: Engine, case: Case, sizes: Sizes, submodule: str) -> None:
        super().__init__(engine, case, sizes, submodule)
        self._made = Standalone(engine, decoder_layer, case, sizes)
        self._made.process_weights()
        weights.initialize(self._made.module, SEED_WEIGHTS)
        absorb(self._made.module, engine.config.model_config.dtype)
        self._run(self._made.module, self._forward)

    def _forward(self, step: plan.Step, _last: bool) -> None:
        config = self.engine.config.model_config
        shape = (self._case.batch_size * step.length, int(config.hf_config.hidden_size))
        device = str(self.engine.device)
        seed = SEED_HIDDEN + step.start
        self._made.run(step, seeded_hidden_states(shape, config.dtype, device, seed))
