"""Which tokens go through when, and where they lie in a paged KV cache: arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ops.case import Case

PREFILL_TOKENS = 16384
"""Tokens of the whole batch per prefill step: what vLLM's scheduler allows on an H200."""

NULL_BLOCKS = 1
"""vLLM reserves block 0 for padding, so requests start at block 1."""


@dataclass(frozen=True)
class Step:
    """One forward: ``length`` tokens of every request, after ``start`` that are in the cache."""

    start: int
    length: int

    @property
    def end(self) -> int:
        """Tokens per request in the cache afterwards."""
        return self.start + self.length


def steps(case: Case, budget: int = PREFILL_TOKENS) -> list[Step]:
    """The prefill steps that fill the cache, then the step that is measured.

    Args:
        case: its past is cut into equal chunks for all requests.
        budget: most tokens of the batch in one prefill step; each step has at least one token
            per request.
    """
    chunk = max(1, budget // case.batch_size)
    past = [
        Step(start, min(chunk, case.past_len - start)) for start in range(0, case.past_len, chunk)
    ]
    return [*past, Step(case.past_len, case.seq_len)]


def blocks_for(tokens: int, block_size: int) -> int:
    """Blocks that hold ``tokens`` tokens."""
    return -(-tokens // block_size)


def round_up(value: int, multiple: int) -> int:
    """``value`` or the next multiple."""
    return blocks_for(value, multiple) * multiple


def contiguous_block_table(
    batch: int, tokens: int, block_size: int, width: int
) -> NDArray[np.int32]:
    """Block numbers [batch, width]: request after request, in order, unused entries 0.

    Args:
        batch: requests.
        tokens: per request.
        block_size: tokens per block.
        width: columns; at least the blocks of one request.
    """
    needed = blocks_for(tokens, block_size)
    table = np.zeros((batch, max(width, needed)), dtype=np.int32)
    numbers = np.arange(batch * needed, dtype=np.int32).reshape(batch, needed)
    table[:, :needed] = numbers + NULL_BLOCKS
    return table


def positions(batch: int, step: Step) -> NDArray[np.int64]:
    """Position of each token of a step [batch * length], requests one after the other."""
    return np.tile(np.arange(step.start, step.end, dtype=np.int64), batch)


def slot_mapping(table: NDArray[np.int32], step: Step, block_size: int) -> NDArray[np.int64]:
    """Cache slot (block number * block size + offset) of each token of a step."""
    one = np.arange(step.start, step.end, dtype=np.int64)
    slots = table[:, one // block_size].astype(np.int64) * block_size + one % block_size
    return slots.reshape(-1)


def query_starts(batch: int, step: Step) -> NDArray[np.int32]:
    """First token of each request in the flattened batch, then the total: [batch + 1]."""
    return np.arange(batch + 1, dtype=np.int32) * np.int32(step.length)
