"""What a framework adapter builds for a case: two sides that are ready to be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def _nothing() -> None:
    return None


def _itself(result: Any) -> Any:
    return result


@dataclass
class Side:
    """One side of an alignment.

    Attributes:
        label: ``mock``, ``reference`` or ``in layer``.
        call: runs one forward of the operator and returns what it returns. It launches the
            operator's own work and nothing else: no copies of inputs, no cache maintenance.
        reset: puts caches back into the state that a call starts from, and asserts it. Runs
            outside of every region and every timed interval, and launches nothing.
        module: the submodule that is compared (``decoder.self_attn``), for data flow and regions;
            None for a mock that is not an ``nn.Module``.
        output: picks the tensor for numerics out of what ``call`` returned.
        context: entered around every call (inference mode, forward context, ...).
        describe: one line on what this is and how it was built.
        weights: name -> tensor of every weight, for sharing and for the evidence.
        no_graph_because: a reason why CUDA-graph capture cannot work here; empty when it can.
        metadata: what a call reads beside its arguments, by name (attention metadata of a forward
            context); asked inside ``context``.
        own_fields: patterns (`fnmatch`) of the fields of a call that are bookkeeping of one side
            (an id, a path, a counter) and say nothing of what is computed.
    """

    label: str
    call: Callable[[], Any]
    reset: Callable[[], None] = _nothing
    module: torch.nn.Module | None = None
    output: Callable[[Any], Any] = _itself
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    describe: str = ""
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    no_graph_because: str = ""
    metadata: Callable[[], Mapping[str, Any]] = dict
    own_fields: tuple[str, ...] = ()


@dataclass
class Sides:
    """Both sides of a case, the running layer, and what they share.

    Attributes:
        mock: built standalone, as a collector builds it.
        reference: the submodule of the full decoder layer, called alone with the inputs that the
            running layer gave it.
        in_layer: the full decoder layer running; its ``module`` is the same submodule, whose
            kernels are those in the region of that module.
        shared: what the two builders share, one phrase each ("weights: 12 tensors").
        notes: what the reader of a report must know (reduced sizes, chosen backends).
        unshared_weights: weights that could not be copied to the mock, with the reason.
        close: frees what was built.
        another: builds both sides once more, in memory of their own, with weights of the same
            values; None where the adapter cannot. ``dataclasses.replace`` does not take it along,
            since sides that were exchanged are not what it builds.
    """

    mock: Side
    reference: Side
    in_layer: Side | None = None
    shared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unshared_weights: tuple[str, ...] = ()
    close: Callable[[], None] = _nothing
    another: Callable[[], Sides] | None = field(default=None, init=False)


def inside_layer(reference: Side, call: Callable[[], Any], layer: str) -> Side:
    """The same submodule and state as ``reference``, with ``call`` running the whole layer.

    Args:
        reference: the submodule called alone.
        call: runs the decoder layer with the inputs that it got from the model.
        layer: its class name.
    """
    where = reference.describe.split(" called alone")[0]
    describe = f"{where} inside the running {layer}"
    return replace(reference, label="in layer", call=call, describe=describe)


def shared_by_builders(copied: int) -> tuple[str, ...]:
    """What two builders may share, for `Sides.shared`; ``copied`` weights agree."""
    return (
        "configuration values",
        f"{copied} weight tensors, copied by name",
        "hidden states entering the submodule",
    )
