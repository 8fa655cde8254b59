"""The KV state that each call of a side starts from."""

from __future__ import annotations

from typing import Any


class KvState:
    """Remembers a `DynamicCache` and puts it back before each call.

    ``DynamicCache`` concatenates new tokens on every call and never writes in place, so keeping
    references to its tensors is enough: restoring launches nothing and copies nothing.

    Args:
        cache: the cache of one side, filled with the past tokens.
        past_len: tokens per request that it must hold before a call.
    """

    def __init__(self, cache: Any, past_len: int) -> None:
        self.cache = cache
        self.past_len = past_len
        self._layers = [dict(vars(layer)) for layer in cache.layers]
        self._check()

    def reset(self) -> None:
        """Restore the state and assert its length."""
        for layer, state in zip(self.cache.layers, self._layers, strict=True):
            vars(layer).clear()
            vars(layer).update(state)
        self._check()

    def _check(self) -> None:
        length = int(self.cache.get_seq_length())
        if length != self.past_len:
            raise AssertionError(
                f"the KV cache holds {length} tokens per request before a call, "
                f"expected {self.past_len}"
            )


def new_cache(config: Any) -> Any:
    """An empty cache with its layers made, so that its state can be remembered."""
    from transformers import DynamicCache

    return DynamicCache(config=config)
