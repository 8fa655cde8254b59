"""What recording may cost: goals, and whether the figures of a run meet them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from benchmarks.recorder_summary import Summary, figure

MILLION = 1_000_000
MEMORY_BYTES = 120
TO_DATA = "usable_us_per_record"
PARTS = ("eager", "graph", "dsa_eager", "dsa_graph", "million", "million_graph")
"""Parts in which memory is judged; the small ones hold little but names."""


@dataclass(frozen=True)
class Goal:
    """A bound.

    Attributes:
        name: in the results.
        at_most: whether ``bound`` is an upper bound; otherwise it is a lower one.
        bound: inclusive; exclusive with ``strict``.
        measured: None where a figure is missing.
        what: what was measured, for the reader.
        required: missing it fails the run.
        strict: equality is a miss.
        absent_is_fine: the figure may be missing, because a workload cannot run here.
    """

    name: str
    bound: float
    measured: float | None
    what: str
    at_most: bool = True
    required: bool = True
    strict: bool = False
    absent_is_fine: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is met; None when it need not be measured and was not."""
        if self.measured is None:
            return None if self.absent_is_fine else False
        if self.strict and self.measured == self.bound:
            return False
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        sign = ("<" if self.at_most else ">") + ("" if self.strict else "=")
        return {
            "goal": f"{sign} {self.bound:g}",
            "measured": self.measured,
            "met": self.met,
            "required": self.required,
            "what": self.what,
        }


def ratio(one: float | None, other: float | None) -> float | None:
    """``one / other``, or None where one of them is missing or ``other`` is not positive."""
    return None if one is None or other is None or other <= 0 else one / other


def _added(summary: Summary, peer: str) -> float | None:
    traced = figure(summary, peer, "eager", "launch_us")
    bare = figure(summary, "nothing", "eager", "launch_us")
    return None if traced is None or bare is None else traced - bare


def _added_ratio(summary: Summary, peer: str) -> float | None:
    torch, own = _added(summary, "torch_profiler"), _added(summary, peer)
    # what is not measurable counts as a hundredth of a µs, so that it is a ratio still
    return None if torch is None or own is None else torch / max(own, 0.01)


def _launch(summary: Summary) -> list[Goal]:
    own = figure(summary, "harness", "eager", "launch_us")
    made = []
    for floor in ("floor", "floor_filtered"):
        value = ratio(own, figure(summary, floor, "eager", "launch_us"))
        what = f"CPU time per eager launch, harness over {floor}"
        made.append(Goal(f"launch_over_{floor}", 1.15, value, what))
    for peer in ("harness", "floor"):
        # Wished: torch.profiler enables nearly the same kinds, so the floor cannot do better.
        what = f"CPU time that recording adds to an eager launch, torch_profiler over {peer}"
        value = _added_ratio(summary, peer)
        made.append(Goal(f"added_launch_torch_over_{peer}", 2, value, what, False, False))
    return made


def _to_data(summary: Summary) -> list[Goal]:
    own = figure(summary, "harness", "million", TO_DATA)
    graph = figure(summary, "harness", "million_graph", TO_DATA)
    what = "end of the region to the Trace, device synchronised, µs per raw record"
    made = [
        Goal("end_to_trace", 0.7, own, f"{what}, million eager"),
        Goal("end_to_trace_wished", 0.5, own, f"{what}, million eager", required=False),
        Goal("end_to_trace_graph", 0.5, graph, f"{what}, million by replays", required=False),
    ]
    for peer, least in (("cupti_python_13_0", 100), ("cupti_python_13_4", 1.5)):
        value = ratio(figure(summary, peer, "million", TO_DATA), own)
        text = f"the same, {peer} (at its records_requested) over harness"
        made.append(Goal(f"end_to_trace_{peer}", least, value, text, at_most=False))
    return made


def _memory(summary: Summary, absent: Collection[str]) -> list[Goal]:
    what = "Arrow bytes of activities and calls per raw record"
    return [
        Goal(
            f"memory_{part}",
            MEMORY_BYTES,
            figure(summary, "harness", part, "at_rest_bytes_per_record", "max"),
            f"{what}, {part}",
            strict=True,
            absent_is_fine=part in absent,
        )
        for part in PARTS
    ]


def _losses(summary: Summary) -> list[Goal]:
    return [
        Goal(
            f"lost_{part}",
            0,
            figure(summary, "harness", part, "lost", "max"),
            "activities launched but not recorded, or records dropped by CUPTI, whichever is more",
        )
        for part in ("million", "million_graph")
    ]


def _flat(summary: Summary) -> list[Goal]:
    small = figure(summary, "harness", "records_1000", TO_DATA)
    large = figure(summary, "harness", f"records_{MILLION}", TO_DATA)
    growth, shrink = ratio(large, small), ratio(small, large)
    spread = None if growth is None or shrink is None else max(growth, shrink)
    what = "end of the region to the Trace per raw record"
    return [
        Goal("flat_growth", 2, growth, f"{what}, at 10^6 over at 10^3"),
        Goal("flat_spread", 2, spread, f"{what}, 10^6 and 10^3, larger over smaller", True, False),
    ]


def goals(summary: Summary, absent: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """All goals by name, as JSON.

    Args:
        summary: of `benchmarks.recorder_summary.summarised`.
        absent: parts that cannot run here, whose goals stay open.
    """
    made = [
        *_launch(summary),
        *_to_data(summary),
        *_memory(summary, absent),
        *_losses(summary),
        *_flat(summary),
    ]
    return {goal.name: goal.plain() for goal in made}


def missed(found: dict[str, dict[str, Any]]) -> list[str]:
    """Names of required goals that are not met."""
    return [name for name, line in found.items() if line["required"] and line["met"] is False]
