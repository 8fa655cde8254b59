"""How a comparison is to be made, apart from what is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from harness.align.known import Declaration
from harness.measure.cache import CacheKind
from harness.measure.paired import TIME_BUDGET_S
from harness.names import EquivalenceClass
from harness.programs import Program
from harness.record.base import Recorder

Stage = Callable[[str], AbstractContextManager[None]]
"""``with stage("timing"):`` tells whoever watches what runs now."""


@contextmanager
def quiet(_text: str) -> Iterator[None]:
    """A stage that tells nobody."""
    yield


@dataclass(frozen=True)
class Options:
    """How a comparison is made.

    Attributes:
        device: ``cuda``, ``cpu`` or ``meta``.
        recorder: records the kernel lists.
        recorder_reason: why that one.
        framework_reason: why that framework.
        tolerance: for the latency ratio, as a fraction.
        required: names of checks that may not be skipped.
        equivalences: declared classes of names that count as the same.
        forwards: eager forwards recorded per side.
        replays: of each side's graph that are recorded; what a kernel's noise is told from.
        instances: of each side that are timed, where the adapter can build more than one; None
            times 2, and more where allocations are what keeps the ratio undecided.
        cache: ``warm`` or ``cold``.
        time_budget: seconds of sampling after which an open latency ratio stays undecided.
        rounds: blocks of samples; None samples until the ratio is decided.
        validator: the nsys that has to see the same; None: nobody does.
        known: declared differences.
        submodules: compare the outputs of the named submodules as well.
        stage: told what runs.
    """

    device: str
    recorder: Recorder
    recorder_reason: str = ""
    framework_reason: str = ""
    tolerance: float = 0.01
    required: frozenset[str] = frozenset()
    equivalences: tuple[EquivalenceClass, ...] = ()
    forwards: int = 5
    replays: int = 20
    instances: int | None = None
    cache: CacheKind = "warm"
    time_budget: float = TIME_BUDGET_S
    rounds: int | None = None
    validator: Program | None = None
    known: tuple[Declaration, ...] = ()
    submodules: bool = False
    stage: Stage = quiet
