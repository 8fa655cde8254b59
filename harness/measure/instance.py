"""One instance of a side: an operator at one place in memory, ready to be sampled."""

from __future__ import annotations

from dataclasses import dataclass

from harness.measure.cache import Footprint
from harness.measure.events import EventSample, sample_eager, sample_replay
from harness.measure.graph import CapturedGraph
from ops.sides import Side


@dataclass(frozen=True)
class Instance:
    """One instance of a side.

    Attributes:
        label: mock or reference.
        side: what it calls.
        graph: ``calls`` calls captured; None for eager calls.
        calls: in one sample.
        lead: one call captured, to lead in with where ``graph`` is long; None replays that.
    """

    label: str
    side: Side
    graph: CapturedGraph | None
    calls: int
    lead: CapturedGraph | None = None

    def sample(self) -> EventSample:
        """Enqueue a timed sample."""
        if self.graph is not None:
            return sample_replay(self.graph.replay, self.calls)
        return sample_eager(self.side, self.calls)

    def lead_in(self) -> None:
        """Enqueue the same work untimed, at least one call of it."""
        if self.graph is not None:
            (self.lead or self.graph).replay()
            return
        self.side.reset()
        with self.side.context():
            self.side.call()

    @property
    def footprint(self) -> Footprint:
        """Address -> bytes of its weights."""
        tensors = self.side.weights.values()
        return {int(t.data_ptr()): t.numel() * t.element_size() for t in tensors}
