"""Hidden states of both sides: seeded, cut into prefill chunks, fitted to the mock's own case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seeded_hidden_states(
    shape: tuple[int, ...], dtype: torch.dtype, device: str, seed: int
) -> torch.Tensor:
    """N(0, 1) hidden states of ``shape``, the same for the same seed and device type."""
    import torch

    if device == "meta":
        return torch.empty(shape, dtype=dtype, device=device)
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, dtype=dtype, device=device, generator=generator)


def chunk_lengths(tokens: int, longest: int) -> list[int]:
    """Lengths of the prefill chunks of ``tokens`` tokens per request, in order.

    Args:
        tokens: per request; 0 gives no chunk.
        longest: tokens per request in a chunk; below 1 counts as 1.
    """
    step = max(1, longest)
    return [min(step, tokens - start) for start in range(0, tokens, step)]


def fit(hidden_states: torch.Tensor, batch: int, length: int, start: int = 0) -> torch.Tensor:
    """Tokens ``start, start + 1, ...`` in contiguous memory of the mock's own.

    Where the mock has more requests they start over; where it has more tokens the last is repeated.

    Args:
        hidden_states: of the reference, [requests, tokens, hidden], at least one of each.
        batch: requests of the mock.
        length: tokens per request of the mock.
        start: first token per request.

    Returns:
        [batch, length, hidden].
    """
    import torch

    device = hidden_states.device
    rows = torch.arange(batch, device=device) % hidden_states.shape[0]
    columns = torch.arange(start, start + length, device=device)
    columns = columns.clamp(max=hidden_states.shape[1] - 1)
    return hidden_states[rows[:, None], columns]  # indexing by tensors copies


def fit_past(
    past: Sequence[torch.Tensor], new: torch.Tensor, batch: int, lengths: Iterable[int]
) -> Iterator[torch.Tensor]:
    """The past of the mock in chunks of its own; see `fit` for a longer or wider one.

    Args:
        past: of the reference in chunks of its own, each [requests, chunk, hidden].
        new: new tokens of the reference; the last is the past where the reference has none.
        batch: requests of the mock.
        lengths: tokens per request of each chunk of the mock.

    Yields:
        [batch, length, hidden] for each of ``lengths``.
    """
    import torch

    whole = torch.cat(list(past), dim=1) if past else new[:, -1:]
    start = 0
    for length in lengths:
        yield fit(whole, batch, length, start)
        start += length
