"""What the user holds: ``with align_op("dsa") as alignment``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.align.model import Alignment, Verdict
from harness.errors import InputError
from harness.report.evidence import evidence, write_evidence_document
from harness.session.entries import Entry, side_of
from harness.session.outcome import Outcome
from harness.session.sidecar import Sidecar
from harness.session.workers import WorkerReport

if TYPE_CHECKING:
    import torch


class AlignmentSession:
    """Collects callables while the block runs and holds the results when it has ended.

    Attributes:
        op: name of the operator.
        results: one `Alignment` per pair, in order, then those of worker processes; empty until
            the block has ended, or filled one by one with ``compare="each"``.
        workers: what came of each process that was started inside a block with ``patch=``.
    """

    def __init__(self, op: str) -> None:
        self.op = op
        self.results: list[Alignment] = []
        self.workers: list[WorkerReport] = []
        self.entries: list[Entry] = []
        self.sidecar = Sidecar()
        self.finished = False
        self.on_pair: Callable[[Entry], None] | None = None
        """Told of each pair as soon as it is one."""
        self.on_event: Callable[[str, Any], None] | None = None
        """Told of ``call`` (a benchmark's label) and ``result`` (its `Alignment`)."""
        self._mock: Entry | None = None

    def mock(
        self,
        call: Callable[[], Any],
        *,
        module: torch.nn.Module | None = None,
        reset: Callable[[], None] | None = None,
        shared_weights: bool = False,
    ) -> None:
        """Name the benchmark's side.

        Args:
            call: runs one forward and returns what it returns; called many times.
            module: the module it runs, for the data-flow check.
            reset: puts caches back before each call; outside of every timed interval.
            shared_weights: the two sides hold the same weights and get the same inputs, so that
                differing outputs are a failure.

        Raises:
            InputError: the block has ended, or a mock is waiting for its reference.
        """
        self._open()
        if self._mock is not None:
            raise InputError(
                "alignment.mock was called twice without a reference between",
                fix="call alignment.reference after each alignment.mock",
            )
        side = side_of("mock", call, module, reset, "callable given to alignment.mock")
        self._mock = Entry(side, shared_weights=shared_weights, label="alignment.mock")
        self.entries.append(self._mock)

    def reference(
        self,
        call: Callable[[], Any],
        *,
        module: torch.nn.Module | None = None,
        reset: Callable[[], None] | None = None,
    ) -> None:
        """Name the model's side of the mock given last; arguments as for `mock`.

        Raises:
            InputError: the block has ended, or there is no mock.
        """
        self._open()
        if self._mock is None:
            raise InputError(
                "alignment.reference was called before alignment.mock",
                fix="call alignment.mock first",
            )
        text = "callable given to alignment.reference"
        pair, self._mock = self._mock, None
        pair.reference = side_of("reference", call, module, reset, text)
        if self.on_pair:
            self.on_pair(pair)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all results; no-signal when nothing was compared, invalid-capture
        when calls of a worker process were lost.

        Raises:
            InputError: the block has not ended, so nothing is known yet.
        """
        if not self.finished:
            raise InputError(
                "the verdict is known when the align_op block has ended",
                fix="read it after the with statement",
            )
        lost = [Verdict.INVALID_CAPTURE for worker in self.workers if worker.problem]
        return Verdict.worst([*lost, *(result.verdict for result in self.results)])

    def document(self) -> Mapping[str, Any]:
        """The evidence of every result as plain JSON values."""
        return {
            "op": self.op,
            "verdict": str(self.verdict),
            "workers": [
                {"name": one.name, "exit_code": one.exit_code, "problem": one.problem}
                for one in self.workers
            ],
            "results": [evidence(result) for result in self.results],
        }

    def write(self, path: str | Path) -> Path:
        """Write the evidence of every result to one JSON file.

        Raises:
            InputError: the block has not ended, or the file cannot be written.
        """
        return write_evidence_document(self.document(), path)

    def benchmarked(self, entry: Entry) -> None:
        """Take up a benchmark call."""
        self.entries.append(entry)
        if entry.outcome is not None:
            self.sidecar.benchmarked(entry.outcome)
        self._tell("call", entry.label)

    def add(self, alignment: Alignment, outcome: Outcome | None = None) -> None:
        """Keep a finished comparison, of a benchmark call where ``outcome`` is given."""
        self.results.append(alignment)
        if outcome is not None:
            outcome.settle(alignment)
        self._tell("result", alignment)

    def hear(self, workers: Sequence[WorkerReport]) -> None:
        """Take over what worker processes have compared."""
        self.workers += workers
        for worker in workers:
            self.results += worker.results

    def let_go(self, entry: Entry) -> None:
        """Free what the callables of an entry hold on the device."""
        self.entries[:] = [one for one in self.entries if one is not entry]

    def _tell(self, kind: str, value: Any) -> None:
        if self.on_event:
            self.on_event(kind, value)

    def _open(self) -> None:
        if self.finished:
            raise InputError(
                "the align_op block has ended", fix="name both sides inside the with statement"
            )
