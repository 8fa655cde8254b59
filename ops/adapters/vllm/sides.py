"""What was built, as the sides that the rest of the project calls."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from ops.adapters.vllm import packages, plan
from ops.adapters.vllm.capture import OWN_FIELDS
from ops.adapters.vllm.config import BACKEND, VOCABULARY
from ops.adapters.vllm.reference import NOTES, Reference, ReferenceKind
from ops.sides import Side, Sides, inside_layer, shared_by_builders
from ops.spec import OpSpec

if TYPE_CHECKING:
    import torch


class Mock(Protocol):
    """A mock: fills its cache with `run`, then repeats the step of `prepare` with `call`."""

    @property
    def module(self) -> torch.nn.Module | None:
        """The module that is compared, if it is one."""
        ...

    @property
    def weights(self) -> Mapping[str, torch.Tensor]:
        """Every weight by name."""
        ...

    def run(self, step: plan.Step, hidden_states: torch.Tensor) -> Any:
        """One forward of a prefill step over [tokens, hidden]."""
        ...

    def prepare(self, step: plan.Step, hidden_states: torch.Tensor) -> None:
        """Make the inputs of `call`."""
        ...

    def call(self) -> Any:
        """One forward."""
        ...

    def context(self) -> AbstractContextManager[Any]:
        """Entered around `call`."""
        ...

    def metadata(self) -> Mapping[str, Any]:
        """What a call reads beside its arguments."""
        ...

    def reset(self) -> None:
        """Assert the KV state."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


def make_sides(
    op: OpSpec,
    kind: ReferenceKind,
    mock: Mock,
    reference: Reference,
    copied: int,
    unshared: list[str],
) -> Sides:
    """Wrap what was built.

    Args:
        op: the operator.
        kind: how the reference was built.
        mock, reference: both sides, ready for their call.
        copied: weights of the mock that are the reference's.
        unshared: a phrase per weight that could not be copied.
    """
    import torch

    replay = reference.replay
    layer = type(replay.layer).__name__
    alone = Side(
        "reference",
        replay.call_alone,
        replay.reset,
        replay.attention,
        context=replay.context,
        describe=f"{layer}.{op.submodule} called alone with the inputs of the running layer",
        weights=dict(replay.attention.named_parameters()),
        metadata=replay.metadata,
        own_fields=OWN_FIELDS,
    )

    def close() -> None:
        mock.close()
        reference.close()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    return Sides(
        mock=Side(
            "mock",
            mock.call,
            mock.reset,
            mock.module,
            context=mock.context,
            describe=_describe_mock(mock),
            weights=mock.weights,
            metadata=mock.metadata,
            own_fields=OWN_FIELDS,
        ),
        reference=alone,
        in_layer=inside_layer(alone, replay.call_layer, layer),
        shared=shared_by_builders(copied),
        notes=(*_notes(kind), *reference.remarks),
        unshared_weights=tuple(unshared),
        close=close,
    )


def _describe_mock(mock: Mock) -> str:
    if mock.module is None:
        return "attention put together from single TensorRT-LLM, DeepGEMM and FlashMLA kernels"
    name = type(mock.module).__name__
    return f"{name} built alone with an engine configuration, caches and metadata of its own"


def _notes(kind: ReferenceKind) -> tuple[str, ...]:
    absent = packages.absent_guided_decoding()
    stood_in = f"guided decoding is left out ({', '.join(absent)} not installed)"
    return (
        NOTES[kind],
        f"eager serving (enforce_eager), KV cache auto = bfloat16, attention backend {BACKEND}",
        f"one layer with a dense MLP, vocabulary {VOCABULARY}; the operator has its full size",
        *([stood_in] if absent else []),
    )
