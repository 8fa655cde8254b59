"""Ways to record that `benchmarks.recorder` compares: what each offers; nothing; the harness."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass
class Seen:
    """What a peer has of one recording, once its data are usable.

    Attributes:
        records: raw records that it saw; None where it does not say.
        activities: kernels, memcpys and memsets among them.
        dropped: records that CUPTI says it dropped; None where it is not asked.
        at_rest_bytes: what the data take; None where only the growth of the process tells.
        values: further figures by name, units in the name.
        problems: why the data may lack something, and errors of callbacks.
    """

    records: int | None = None
    activities: int | None = None
    dropped: int | None = None
    at_rest_bytes: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


class Peer(Protocol):
    """One way to record. `start` and `stop` are timed, the other methods are not."""

    def prepare(self) -> dict[str, Any]:
        """Import what is needed, without touching CUPTI; versions and notes for the results."""
        ...

    def start(self, records: int) -> None:
        """Begin to record; about so many raw records will come."""
        ...

    def stop(self) -> None:
        """End, and make the data usable."""
        ...

    def seen(self) -> Seen:
        """What has been recorded; the data are still held."""
        ...

    def release(self) -> None:
        """Let the data go."""
        ...


class Nothing:
    """No recording at all."""

    def prepare(self) -> dict[str, Any]:
        """Nothing to import."""
        return {}

    def start(self, records: int) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""

    def seen(self) -> Seen:
        """Nothing."""
        return Seen()

    def release(self) -> None:
        """Nothing."""


class Harness:
    """`harness.record.cupti.CuptiRecorder` with a region around the launches."""

    def prepare(self) -> dict[str, Any]:
        """Import the recorder and what its Trace needs."""
        from harness.record.cupti import CuptiRecorder

        self._recorder = CuptiRecorder()
        self._open: Any = None
        self._recording: Any = None
        self._trace: Any = None
        self._tables: Any = None
        return {"available": self._recorder.available()[1]}

    def start(self, records: int) -> None:
        """Open a recording and a region."""
        from harness.record.regions import region

        self._open = self._recorder.record()
        self._recording = self._open.__enter__()
        self._region = region("stream")
        self._region.__enter__()

    def stop(self) -> None:
        """Leave both and take the Trace with its tables."""
        self._region.__exit__(None, None, None)
        self._open.__exit__(None, None, None)
        self._trace = self._recording.trace
        self._tables = (self._trace.activities, self._trace.calls)

    def seen(self) -> Seen:
        """From the tables of the Trace and its info."""
        info = self._trace.info
        costs = {name: float(value) for name, value in info.perturbation.items()}
        complete = {"complete": float(info.complete)}
        return Seen(
            records=int(costs["records"]),
            activities=self._tables[0].num_rows,
            dropped=info.dropped_records,
            at_rest_bytes=sum(table.get_total_buffer_size() for table in self._tables),
            values=complete | {f"perturbation.{name}": value for name, value in costs.items()},
            problems=info.incomplete,
        )

    def release(self) -> None:
        """Drop the Trace."""
        self._trace = self._recording = self._open = self._tables = None
