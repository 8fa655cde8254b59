"""What the user holds: ``with align_op("dsa") as alignment``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.align.model import Alignment, Verdict
from harness.compare.pipeline import Compared
from harness.errors import InputError
from harness.report.evidence import evidence, write_evidence_document
from harness.session.entries import Entry, side_of

if TYPE_CHECKING:
    import torch


class AlignmentSession:
    """Collects callables while the block runs and holds the results when it has ended.

    Attributes:
        op: name of the operator.
        results: one `Alignment` per pair, in order; empty until the block has ended.
    """

    def __init__(self, op: str) -> None:
        self.op = op
        self.results: list[Alignment] = []
        self.entries: list[Entry] = []
        self.finished = False
        self._mock: Entry | None = None
        self._compared: list[Compared] = []

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
        self._mock.reference = side_of("reference", call, module, reset, text)
        self._mock = None

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all results; no-signal when nothing was compared.

        Raises:
            InputError: the block has not ended, so nothing is known yet.
        """
        if not self.finished:
            raise InputError(
                "the verdict is known when the align_op block has ended",
                fix="read it after the with statement",
            )
        return Verdict.worst(result.verdict for result in self.results)

    def document(self) -> Mapping[str, Any]:
        """The evidence of every result as plain JSON values."""
        return {
            "op": self.op,
            "verdict": str(self.verdict),
            "results": [evidence(result) for result in self.results],
        }

    def write(self, path: str | Path) -> Path:
        """Write the evidence of every result to one JSON file.

        Raises:
            InputError: the block has not ended, or the file cannot be written.
        """
        return write_evidence_document(self.document(), path)

    def add(self, compared: Compared) -> None:
        """Keep a finished comparison."""
        self._compared.append(compared)
        self.results.append(compared.alignment)

    def _open(self) -> None:
        if self.finished:
            raise InputError(
                "the align_op block has ended", fix="name both sides inside the with statement"
            )
