"""Instances of both sides: the same operators in other memory, captured and ready to be sampled."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness.measure.blocks import Floor
from harness.measure.graph import CaptureError, capture
from harness.measure.instance import Instance
from harness.measure.unroll import Unrolled, capture_lead
from ops.sides import Side, Sides

ONLY_CALLABLES = "these sides cannot be built a second time"


@dataclass
class Instances:
    """Instance j of the mock is paired with instance j of the reference.

    Attributes:
        mock, reference: as many of each.
        second: a second instance of the reference for A/A where each side has but one.
        second_is: what A/A compares, in words.
        sample_ms: how long a sample lasts.
        building_s: seconds that building sides took, without capturing them.
        making_s: seconds that building and capturing more instances took.
        notes: why there are fewer than were asked for.
    """

    mock: list[Instance]
    reference: list[Instance]
    second: Instance | None = None
    second_is: str = "another allocation of the reference"
    sample_ms: float = 0.0
    building_s: float = 0.0
    making_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[Instance]:
        """In the order of the samplers: mock, reference, the second for A/A."""
        return [*self.mock, *self.reference, *([self.second] if self.second else [])]

    @property
    def floor(self) -> Floor:
        """Positions in `all` that A/A compares: one and another, or one half and the other."""
        count = len(self.mock)
        if self.second:
            return (count,), (2 * count,)
        half = count // 2
        return range(count, count + half), range(count + half, count + 2 * half)

    @property
    def floor_is(self) -> str:
        """What A/A compares, in words."""
        half = len(self.mock) // 2
        if half < 2:
            return self.second_is
        return f"{half} allocations of the reference and {half} others"


def make_instances(
    unrolled: Unrolled,
    another: Callable[[], Sides] | None,
    wanted: int,
    closing: ExitStack,
) -> Instances:
    """The first instance of each side and, as far as possible, more of them.

    What cannot be built or captured again is left out and said in the notes: it costs certainty,
    not correctness.

    Args:
        unrolled: the first instances, and how many calls a sample has.
        another: builds both sides once more.
        wanted: instances of each side.
        closing: frees what is built here.
    """
    made = Instances(
        [unrolled.mock_instance], [unrolled.reference_instance], sample_ms=unrolled.sample_ms
    )
    problem = add_instances(made, unrolled, another, wanted, closing)
    if len(made.mock) == 1:
        _add_second(made, unrolled, None if problem else another, closing)
    return made


def add_instances(
    made: Instances,
    unrolled: Unrolled,
    another: Callable[[], Sides] | None,
    wanted: int,
    closing: ExitStack,
) -> str:
    """As `make_instances`, to the instances that are there.

    Returns:
        Why there are fewer than ``wanted`` now, which is in the notes too; empty otherwise.
    """
    start = time.monotonic()
    problem = "" if another else ONLY_CALLABLES
    while not problem and another and len(made.mock) < wanted:
        mock, reference, problem = _build(made, another, unrolled, closing)
        if mock and reference:
            made.mock.append(mock)
            made.reference.append(reference)
    if len(made.mock) >= wanted:
        problem = ""
    if problem:
        made.notes.append(
            f"{len(made.mock)} of {wanted} instances a side: {problem}; the interval rests on what "
            "allocations did elsewhere"
        )
    made.making_s += time.monotonic() - start
    return problem


def _add_second(
    made: Instances, unrolled: Unrolled, another: Callable[[], Sides] | None, closing: ExitStack
) -> None:
    """A second instance of the reference for A/A: built, captured again, or the same once more."""
    first = made.reference[0]
    if another:
        _, made.second, problem = _build(made, another, unrolled, closing, with_mock=False)
        if made.second:
            return
        made.notes.append(f"A/A without another allocation: {problem}")
    if first.graph:
        made.second, problem = _capture(first.side, unrolled, closing)
        made.second_is = "the same reference captured again"
        if made.second:
            return
        made.notes.append(f"A/A without another capture: {problem}")
    made.second = first
    made.second_is = "the same instance of the reference again"


def _build(
    made: Instances,
    another: Callable[[], Sides],
    unrolled: Unrolled,
    closing: ExitStack,
    *,
    with_mock: bool = True,
) -> tuple[Instance | None, Instance | None, str]:
    """Instances of a mock (or none) and a reference in memory of their own, or why not."""
    start = time.monotonic()
    with ExitStack() as own:
        try:
            sides = another()
        except Exception as error:  # noqa: BLE001  whatever it is, the first instances are there
            problem = f"{type(error).__name__}: {_first_line(error)}"
        else:
            made.building_s += time.monotonic() - start
            own.callback(sides.close)
            reference, problem = _capture(sides.reference, unrolled, own)
            mock = None
            if with_mock and reference:
                mock, problem = _capture(sides.mock, unrolled, own)
            if reference and (mock or not with_mock):
                closing.push(own.pop_all())
                return mock, reference, ""
    _free()
    return None, None, problem


def _capture(side: Side, unrolled: Unrolled, closing: ExitStack) -> tuple[Instance | None, str]:
    if unrolled.mode == "eager":
        return Instance(side.label, side, None, unrolled.calls), ""
    try:
        graph = capture(side, calls=unrolled.calls, topology=False)
        closing.callback(graph.close)
        lead = capture_lead(side, unrolled.calls)
    except CaptureError as error:
        return None, error.reason
    except RuntimeError as error:  # out of memory in a warm-up call
        return None, _first_line(error)
    if lead:
        closing.callback(lead.close)
    return Instance(side.label, side, graph, unrolled.calls, lead), ""


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
