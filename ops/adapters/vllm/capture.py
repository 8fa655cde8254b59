"""What reaches a layer and its attention while the serving path runs, and calls that repeat it.

`ops.adapters.calls.noted` would not do: here a forward context belongs to each call, the tensors
have to be copied (see `captured`), and every call is kept so that a second one does not go unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.adapters.vllm.engine import Engine

if TYPE_CHECKING:
    import torch


OWN_FIELDS = (
    "*.vllm_config.instance_id",
    "*.vllm_config.cache_config.num_gpu_blocks",
    "*.vllm_config.compilation_config.enabled_custom_ops*",
    "*.vllm_config.compilation_config.disabled_custom_ops*",
    "*.vllm_config.model_config.model",
    "*.vllm_config.model_config.served_model_name",
    "*.vllm_config.model_config.tokenizer",
    "*._name_or_path",
)
"""Of the engine configuration that attention metadata points to, as vLLM 0.26 fills it: an id, a
count of cache blocks and of layers built so far, and the folder with the model's config.json. The
rest of that configuration is compared."""


@dataclass(frozen=True)
class Call:
    """Arguments of one call of a module and the forward context it ran in."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    forward_context: Any


def hidden_states(call: Call) -> torch.Tensor:
    """The hidden states [tokens, hidden] among the arguments: the one 2-D floating tensor."""
    import torch

    values = (*call.args, *call.kwargs.values())
    found = [v for v in values if isinstance(v, torch.Tensor) and v.is_floating_point()]
    if len(found) != 1 or found[0].dim() != 2:
        shapes = [tuple(tensor.shape) for tensor in found]
        raise AssertionError(f"expected one tensor of hidden states among the inputs, got {shapes}")
    return found[0]


@contextmanager
def captured(module: torch.nn.Module) -> Iterator[list[Call]]:
    """Note every call of ``module`` while the block runs; floating tensors are copied.

    They are copied because vLLM's fused residual additions write into their inputs.
    """
    from vllm.forward_context import get_forward_context

    calls: list[Call] = []

    def hook(_module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        copies = {name: _own(value) for name, value in kwargs.items()}
        calls.append(Call(tuple(_own(value) for value in args), copies, get_forward_context()))

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def _own(value: Any) -> Any:
    import torch

    floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.clone() if floating else value


class Replay:
    """Calls a layer, or its attention alone, again with what a running model gave them.

    Args:
        engine: of the model.
        layer: the decoder layer.
        attention: its submodule that is compared.
        layer_call, attention_call: what was captured in one forward of the model.
    """

    def __init__(
        self,
        engine: Engine,
        layer: torch.nn.Module,
        attention: torch.nn.Module,
        layer_call: Call,
        attention_call: Call,
    ) -> None:
        self.engine = engine
        self.layer = layer
        self.attention = attention
        self._layer_call = layer_call
        self._attention_call = attention_call
        self._state = self._host_state()

    def call_alone(self) -> Any:
        """The attention with the inputs that the running layer gave it."""
        return self.attention(*self._attention_call.args, **self._attention_call.kwargs)

    def call_layer(self) -> Any:
        """The whole layer.

        Its fused residual addition writes into its input, so each call gets a copy; the copy is
        made outside of the attention's region.
        """
        args = tuple(_own(value) for value in self._layer_call.args)
        kwargs = {name: _own(value) for name, value in self._layer_call.kwargs.items()}
        return self.layer(*args, **kwargs)

    def context(self) -> AbstractContextManager[None]:
        """The captured forward context."""
        return self.engine.forward_scope(self._attention_call.forward_context)

    def metadata(self) -> Mapping[str, Any]:
        """What the attention reads beside its arguments."""
        return metadata_of(self._attention_call.forward_context)

    def reset(self) -> None:
        """Assert that metadata and caches are where and as long as when the forward was captured.

        See `host_state` for what is compared. A call writes the same tokens to the same slots, so
        nothing has to be put back.
        """
        if self._host_state() != self._state:
            raise AssertionError(
                "the attention metadata or the KV caches changed after the forward was captured"
            )

    def _host_state(self) -> list[Any]:
        return host_state(self.engine, self._attention_call.forward_context)


def metadata_of(forward_context: Any) -> dict[str, Any]:
    """Attention metadata by the kind of layer, whose prefixes differ from model to model."""
    metadata = sorted(forward_context.attn_metadata.items())
    return {f"{at} {type(value).__name__}": value for at, (_, value) in enumerate(metadata)}


def host_state(engine: Engine, forward_context: Any) -> list[Any]:
    """What the host knows of a forward's metadata and KV caches; reading it launches nothing.

    Per attention layer, each field of its metadata and its KV cache, as
    - its value: numbers, strings, booleans, None, and tensors on the CPU;
    - shape, strides, dtype and address: tensors on a GPU (slots, block table, caches), whose
      contents are not read;
    - its type alone: everything else, such as nested metadata.
    """
    state: list[Any] = []
    for name, metadata in sorted(forward_context.attn_metadata.items()):
        for key, value in sorted(vars(metadata).items()):
            state.append((name, key, _plain(value)))
    for name, layer in sorted(engine.layers.items()):
        state.append((name, "kv_cache", _plain(layer.kv_cache)))
    return state


def _plain(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        where = value.tolist() if value.device.type == "cpu" else value.data_ptr()
        return (tuple(value.shape), tuple(value.stride()), str(value.dtype), where)
    return value if isinstance(value, (int, float, str, bool, type(None))) else type(value).__name__
