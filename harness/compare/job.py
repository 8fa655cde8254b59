"""One case of a run, and how both of its sides are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.errors import InputError
from ops.case import Case
from ops.sides import Sides
from ops.spec import Differences, FrameworkAdapter, OpSpec


@dataclass(frozen=True)
class Job:
    """One case of a run.

    Attributes:
        op, case, adapter: what to build and with what.
        differences: how the mock is to differ; by default not at all.
        altered: changes both sides after they were built (planted differences of benchmarks).
    """

    op: OpSpec
    case: Case
    adapter: FrameworkAdapter
    differences: Differences = Differences()
    altered: Callable[[Sides], Sides] | None = None

    def build(self, device: str) -> Sides:
        """Both sides on ``device``.

        Raises:
            InputError: this process is one rank of several.
        """
        _refuse_ranks()
        built = self.adapter.build(self.op, self.case, device, self.differences)
        another = built.another
        sides = self._altered(built)
        sides.another = None if another is None else lambda: self._altered(another())
        return sides

    def build_reduced(self) -> tuple[Sides, str]:
        """Both sides at a size that a CPU computes, and what was reduced."""
        op, case, text = self.op.reduce_for_cpu(self.case)
        return self._altered(self.adapter.build(op, case, "cpu", self._reduced(op))), text

    def _altered(self, sides: Sides) -> Sides:
        return self.altered(sides) if self.altered else sides

    def _reduced(self, op: OpSpec) -> Differences:
        """The differences at the reduced size: a changed size keeps its distance or its ratio."""
        config = {
            key: value * op.dimensions[key] // self.op.dimensions[key]
            if key in self.op.reduced_dimensions
            else value
            for key, value in self.differences.config.items()
        }
        case = self.op.reduce_for_cpu(self.case)[1]
        sizes = {
            key: _resized(value, getattr(self.case, key), getattr(case, key))
            if isinstance(value, int)
            else value
            for key, value in self.differences.case.items()
        }
        return replace(self.differences, config=config, case=sizes)


def _resized(value: int, whole: int, reduced: int) -> int:
    """A changed size at the reduced size: at its distance where that fits, else at its ratio."""
    distance = value - whole
    if abs(distance) < reduced:
        return reduced + distance
    return max(1, reduced * value // whole)


def _refuse_ranks() -> None:
    import torch

    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        ranks = distributed.get_world_size()
        if ranks > 1:
            raise InputError(
                f"this process is one of {ranks} ranks, and --tp stands for the local head count "
                "of a single one",
                fix="run it in a process without a process group",
            )
