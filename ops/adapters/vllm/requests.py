"""Scheduler outputs for vLLM's model runner: what its scheduler would send for these steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from ops.adapters.vllm.plan import NULL_BLOCKS, Step, blocks_for
from ops.case import Case

SEED_TOKENS = 5


class Requests:
    """The requests of a case, scheduled together, with blocks handed out as they are needed.

    Blocks come from a fresh pool in the order of scheduling, as vLLM's block pool hands them
    out; so those of one request are not contiguous when its prefill takes several steps.

    Args:
        case: gives batch and lengths. In generation the prompt is the past and the new token is
            one that the model sampled; in context the prompt is everything.
        block_size: tokens per block.
        vocabulary: tokens are drawn from it, seeded.
    """

    def __init__(self, case: Case, block_size: int, vocabulary: int) -> None:
        self.case = case
        self._block_size = block_size
        self._next_block = NULL_BLOCKS
        self._held = 0
        sampled = case.phase == "generation" and case.past_len > 0
        self.prompt_len = case.past_len if sampled else case.kv_len
        random = np.random.default_rng(SEED_TOKENS)
        self._prompts = random.integers(0, vocabulary, (case.batch_size, self.prompt_len))
        self.names = [str(number) for number in range(case.batch_size)]

    def new_blocks(self, end: int) -> list[list[int]]:
        """Blocks to add per request so that it can hold ``end`` tokens."""
        more = blocks_for(end, self._block_size) - self._held
        self._held += more
        first = self._next_block
        self._next_block += more * self.case.batch_size
        return [
            list(range(first + row * more, first + (row + 1) * more))
            for row in range(self.case.batch_size)
        ]

    def schedule(self, step: Step) -> Any:
        """The ``SchedulerOutput`` of ``step``; steps come in order."""
        from vllm.v1.core.sched.output import CachedRequestData, SchedulerOutput

        blocks = self.new_blocks(step.end)
        first = step.start == 0
        cached = CachedRequestData.make_empty() if first else self._cached(step, blocks)
        return SchedulerOutput(
            scheduled_new_reqs=self._new(blocks) if first else [],
            scheduled_cached_reqs=cached,
            num_scheduled_tokens=dict.fromkeys(self.names, step.length),
            total_num_scheduled_tokens=step.length * self.case.batch_size,
            scheduled_spec_decode_tokens={},
            scheduled_encoder_inputs={},
            num_common_prefix_blocks=[0],
            finished_req_ids=set(),
            free_encoder_mm_hashes=[],
        )

    def _new(self, blocks: list[list[int]]) -> list[Any]:
        from vllm.sampling_params import SamplingParams
        from vllm.v1.core.sched.output import NewRequestData

        return [
            NewRequestData(
                req_id=name,
                prompt_token_ids=prompt.tolist(),
                mm_features=[],
                sampling_params=SamplingParams(temperature=0.0, max_tokens=2, ignore_eos=True),
                pooling_params=None,
                block_ids=(mine,),
                num_computed_tokens=0,
                lora_request=None,
            )
            for name, prompt, mine in zip(self.names, self._prompts, blocks, strict=True)
        ]

    def _cached(self, step: Step, blocks: list[list[int]]) -> Any:
        from vllm.v1.core.sched.output import CachedRequestData

        batch = self.case.batch_size
        return CachedRequestData(
            req_ids=list(self.names),
            resumed_req_ids=set(),
            new_token_ids=[],
            all_token_ids={},
            new_block_ids=[(mine,) if mine else None for mine in blocks],
            num_computed_tokens=[step.start] * batch,
            num_output_tokens=[int(step.start >= self.prompt_len)] * batch,
        )
