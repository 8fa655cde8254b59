"""What a session collects while its block runs: pairs to be compared when it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.session.outcome import Outcome
from ops.case import Case
from ops.sides import Side

if TYPE_CHECKING:
    import torch

NO_REFERENCE = (
    "none was named for {label}; alignment.reference(callable) or align_op(..., "
    "reference=callable) gives one, align_op(..., phase=, batch_size=, kv_len=) or "
    "align_op(..., case=lambda call: {{...}}) lets the operator build it"
)


@dataclass(eq=False)
class Entry:
    """One alignment to make.

    Attributes:
        mock: the side that stands for the benchmark.
        reference: the side that stands for the model, or None until one is known.
        case: lets the operator build the reference, or None.
        shared_weights: both sides are known to hold the same weights.
        label: what to call it in messages.
        device: where it was benchmarked; None for the current device.
        outcome: of a benchmark call; told when the comparison is made.
    """

    mock: Side
    reference: Side | None = None
    case: Case | None = None
    shared_weights: bool = False
    label: str = ""
    device: torch.device | None = None
    outcome: Outcome | None = None

    def give_reference(self, call: Callable[[], Any]) -> None:
        """Let a callable of the user's stand for the model."""
        text = "callable given to align_op(reference=)"
        self.reference = side_of("reference", call, None, None, text)


def side_of(
    label: str,
    call: Callable[[], Any],
    module: torch.nn.Module | None,
    reset: Callable[[], None] | None,
    describe: str,
) -> Side:
    """A side from a user's callable."""
    return Side(
        label,
        call,
        reset or _nothing,
        module,
        output=_first_tensor,
        context=nullcontext,
        describe=describe,
        weights=dict(module.named_parameters()) if module is not None else {},
    )


def _nothing() -> None:
    return None


def _first_tensor(result: Any) -> Any:
    """The first tensor of what a call returned: modules return tuples with their caches."""
    if isinstance(result, (tuple, list)) and result:
        return _first_tensor(result[0])
    return result
