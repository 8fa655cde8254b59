"""What was observed of a case before it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow.compute as pc

from harness.align.changes import Change, changes, region_names
from harness.align.forwards import split_forwards
from harness.align.streams import StreamPair, merged_streams, pair_streams
from harness.align.witness import Witness
from harness.measure.model import Conditions, GraphTopology, Numerics, PairedMeasurement
from harness.names import EquivalenceClass, apply, identity_keys
from harness.record.calls import ModuleCall
from harness.record.dataflow import Flow
from harness.record.weights import WeightSpecs
from harness.trace import Trace
from harness.trace.schema import OUTSIDE


@dataclass(frozen=True, eq=False)
class SideObservation:
    """One side: what it launched, what went through it, its graph.

    Attributes:
        label, describe: as in `ops.sides.Side`.
        eager: eager forwards, each in a region ``forward``.
        replay: replays of the side's CUDA graph, likewise; None when there is no graph.
        flows: tensors at each named submodule; None when the side is not a module.
        flows_missing: why ``flows`` is None.
        calls: the calls of the module in one forward, by their arguments.
        weights: of each submodule.
        timed_topology: of the graph that was timed.
        recorded_topology: of the graph that was captured again and recorded.
        captured: whether the side can be captured as a CUDA graph; None when not tried.
        graph_problem: why not, or why its topology or its replays are unknown.
        region: only activities in this region belong to the operator (the running layer).
    """

    label: str
    describe: str
    eager: Trace | None = None
    replay: Trace | None = None
    flows: tuple[Flow, ...] | None = None
    flows_missing: str = ""
    timed_topology: GraphTopology | None = None
    recorded_topology: GraphTopology | None = None
    captured: bool | None = None
    graph_problem: str = ""
    region: str = ""
    calls: tuple[ModuleCall, ...] = ()
    weights: tuple[WeightSpecs, ...] = ()

    @cached_property
    def eager_forwards(self) -> list[Trace]:
        """One Trace per eager forward, with only the operator's activities."""
        return self._forwards(self.eager)

    @cached_property
    def replay_forwards(self) -> list[Trace]:
        """One Trace per replay."""
        return self._forwards(self.replay)

    def _forwards(self, trace: Trace | None) -> list[Trace]:
        if trace is None:
            return []
        forwards = split_forwards(trace)
        return [each.in_region(self.region) for each in forwards] if self.region else forwards

    @property
    def traces(self) -> list[Trace]:
        """Every Trace that was recorded of this side."""
        return [trace for trace in (self.eager, self.replay) if trace is not None]


@dataclass(frozen=True, eq=False)
class Observation:
    """Both sides of a case, what was measured of them, and what the reader must know.

    Attributes:
        mock, reference: the two sides; ``reference`` None when there is none.
        in_layer: the reference inside the running layer.
        pair: latency of both, None when not timed.
        untimed: why not.
        numerics: outputs compared, None when not.
        no_numerics: why not.
        submodule_numerics: (path, comparison) of named submodules, where asked for.
        conditions: state of the card around timing, None without a card.
        tolerance: for the latency ratio, as a fraction.
        required: names of checks that may not be skipped.
        reference_missing: why there is no reference and how to name one.
        unshared_weights: weights that differ between the sides, where sharing was asked for.
        equivalences: declared classes of names that count as the same.
        witness: what a second profiler saw of both sides, None when there was none.
        unwitnessed: why not.
        live: recorded in this run; False for what was read from files.
    """

    mock: SideObservation
    reference: SideObservation | None
    in_layer: SideObservation | None = None
    pair: PairedMeasurement | None = None
    untimed: str = ""
    numerics: Numerics | None = None
    no_numerics: str = ""
    submodule_numerics: tuple[tuple[str, Numerics], ...] = ()
    conditions: Conditions | None = None
    tolerance: float = 0.01
    required: frozenset[str] = frozenset()
    reference_missing: str = ""
    unshared_weights: tuple[str, ...] = ()
    equivalences: tuple[EquivalenceClass, ...] = ()
    witness: Witness | None = None
    unwitnessed: str = "not asked for (--validate nsys)"
    live: bool = True

    @property
    def sides(self) -> list[SideObservation]:
        """The observed sides, the running layer last."""
        return [side for side in (self.mock, self.reference, self.in_layer) if side is not None]

    @cached_property
    def lists(self) -> tuple[Trace, Trace]:
        """The lists that are compared: graph replays where both sides have them, else eager.

        One forward of each side; empty Traces where nothing was recorded.
        """
        assert self.reference is not None
        if self.mock.replay_forwards and self.reference.replay_forwards:
            return self.mock.replay_forwards[-1], self.reference.replay_forwards[-1]
        return _last(self.mock), _last(self.reference)

    @cached_property
    def streams(self) -> list[StreamPair]:
        """`lists`, stream by stream."""
        (mock, reference), (ours, theirs) = self.lists, self.keys
        return pair_streams(mock, ours, reference, theirs)

    @cached_property
    def merged(self) -> StreamPair:
        """`lists` in the order in which launches began, whatever their streams."""
        return merged_streams(*self.keys)

    @cached_property
    def matching(self) -> list[StreamPair]:
        """Which launches stand for each other: by stream, or in the merged order where that
        matches more (the same kernels on other streams)."""
        if len(self.streams) == 1:
            return self.streams
        by_stream = sum(1 for pair in self.streams for _ in pair.pairing.exact())
        merged = sum(1 for _ in self.merged.pairing.exact())
        return self.streams if by_stream >= merged else [self.merged]

    @cached_property
    def changes(self) -> list[Change]:
        """Where `matching` found differences, with regions and neighbours."""
        mock, reference = (region_names(trace) for trace in self.lists)
        return [
            change
            for pair in self.matching
            for change in changes(
                pair.pairing,
                [mock[row] for row in pair.mock_rows],
                [reference[row] for row in pair.reference_rows],
            )
        ]

    @cached_property
    def losses(self) -> list[str]:
        """Why the recordings must not be trusted to hold everything; empty when they do."""
        found = []
        for side in self.sides:
            for trace in side.traces:
                found += [f"{side.label}: {reason}" for reason in trace.info.incomplete]
                region = pc.fill_null(trace.launch_regions(), OUTSIDE)
                outside = pc.sum(pc.equal(region, OUTSIDE)).as_py() or 0
                if outside:
                    found.append(
                        f"{side.label}: {outside} activities belong to no forward; something was "
                        "launched between forwards or by another thread"
                    )
        return list(dict.fromkeys(found))

    @property
    def mode(self) -> str:
        """``graph replay`` or ``eager``: what `lists` holds."""
        both = self.reference and self.mock.replay_forwards and self.reference.replay_forwards
        return "graph replay" if both else "eager"

    @cached_property
    def keys(self) -> tuple[list[str], list[str]]:
        """Identity of each activity in `lists`, in order, declared equivalences applied."""
        mock, reference = (
            apply(identity_keys(trace), self.equivalences)[0] for trace in self.lists
        )
        return mock, reference

    @property
    def equated(self) -> list[str]:
        """What the declared equivalences changed, one line per name."""
        lines = []
        for trace in self.lists:
            for declared, names in apply(identity_keys(trace), self.equivalences)[1].items():
                lines += [f"{declared}: {old} counts as {new}" for old, new in names.items()]
        return list(dict.fromkeys(lines))


def _last(side: SideObservation) -> Trace:
    if side.eager_forwards:
        return side.eager_forwards[-1]
    if side.eager is None:
        raise ValueError(f"nothing was recorded of the {side.label}")
    return side.eager.slice(0, 0)
