"""The process that nsys watches: builds a case and runs it as the live recording does.

Run by `harness.compare.witness` as ``python -m harness.compare.witness_child REQUEST``. It records
nothing itself: the regions around each list and each forward are NVTX ranges, which nsys sees.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.align.witness import EAGER, PREFIX, REPLAY, label_of
from harness.compare.options import Options
from harness.compare.recording import record_eager, record_replays
from harness.errors import HarnessError
from harness.measure.graph import CaptureError, capture
from harness.record.regions import region
from harness.trace import Trace, TraceInfo, activities_table
from ops.case import Case
from ops.sides import Side, Sides


@dataclass(frozen=True)
class _Seen:
    """A recording that somebody else makes."""

    trace: Trace


@dataclass
class WatchedBy:
    """Stands in a recorder's place: names the stretch, and leaves recording to nsys.

    Args:
        label: side and mode.
    """

    label: str
    name: str = "nsys"

    def available(self) -> tuple[bool, str]:
        """Always: whether nsys is there shows when its report is read."""
        return True, "this process runs under nsys"

    @contextmanager
    def record(self) -> Iterator[_Seen]:
        """Put the block into the region that names the list."""
        import torch

        with region(PREFIX + self.label):
            yield _Seen(Trace(activities_table({}), TraceInfo("nsys")))
            if torch.cuda.is_available():
                torch.cuda.synchronize()

    def watch_captures(self) -> Any:
        """Nothing to do: nsys sees nodes being made by itself."""
        return nullcontext()


WARM_S = 0.3
"""The live lists are recorded after timing, at clocks that have risen; so these have to be."""


def warm_up_clocks(side: Side, clock: Callable[[], float] = time.monotonic) -> None:
    """Call a side, outside every region, until the card's clocks have risen."""
    import torch

    start = clock()
    while clock() - start < WARM_S:
        side.reset()
        with side.context():
            side.call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()


def run_passes(sides: Sides, options: Options) -> list[str]:
    """Eager forwards and replays of both sides, each list in a region of its own.

    Returns:
        What could not be run, for the reader.
    """
    notes = []
    for side in (sides.mock, sides.reference):
        warm_up_clocks(side)
        record_eager(side, _watched(options, side, EAGER))
        try:
            graph = capture(side)
        except CaptureError as error:
            notes.append(str(error))
            continue
        try:
            record_replays(graph, _watched(options, side, REPLAY))
        finally:
            graph.close()
    return notes


def _watched(options: Options, side: Side, mode: str) -> Options:
    return replace(options, recorder=WatchedBy(label_of(side.label, mode)))


def main(arguments: list[str]) -> int:
    """Run a request and write how it ended into the file that it names."""
    request = json.loads(Path(arguments[0]).read_text())
    try:
        status: dict[str, Any] = {"notes": _run(request)}
    except HarnessError as error:
        status = {"error": str(error)}
    except Exception as error:  # noqa: BLE001  the parent reports it as the reason
        status = {"error": f"{type(error).__name__}: {error}"}
    _write(Path(request["status"]), json.dumps(status))
    return 1 if "error" in status else 0


def _write(path: Path, text: str) -> None:
    """Write a file that is whole once it is there."""
    writing = path.with_name(path.name + ".writing")
    writing.write_text(text)
    writing.replace(path)


def _run(request: dict[str, Any]) -> list[str]:
    from harness.compare.job import Job
    from ops.registry import adapter, operator

    case = Case(**request["case"])
    job = Job(operator(case.op), case, adapter(case.framework))
    sides = job.build("cuda")
    try:
        options = Options(
            "cuda", WatchedBy(""), forwards=request["forwards"], replays=request["replays"]
        )
        return run_passes(sides, options)
    finally:
        sides.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
