"""Kernels through torch.profiler (Kineto): for when CUPTI itself cannot be held."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from harness.errors import InputError, MissingDeviceError, RecorderBusyError
from harness.record.environment import now, torch_versions
from harness.record.kineto_events import Tables, read_events
from harness.record.regions import (
    OpenRegion,
    RegionLog,
    add_listener,
    open_regions,
    remove_listener,
)
from harness.record.state import mark_traced, torch_profiler_running
from harness.trace import Trace, TraceInfo, activities_table, calls_table, regions_table

REGION_PREFIX = "harness.region"
NOTES = (
    "kernel names are demangled by Kineto",
    "shared_dynamic_bytes holds static and dynamic shared memory; Kineto does not split it",
    "times are ns: Kineto's µs with three decimals on its base time",
)


class RegionMarks:
    """A listener that shows regions to torch.profiler, so that it times them on its own clock."""

    def __init__(self) -> None:
        self._open: dict[int, Any] = {}

    def opened(self, region: OpenRegion) -> None:
        """Begin a user annotation ``harness.region ID``."""
        import torch

        mark = torch.profiler.record_function(f"{REGION_PREFIX} {region.id}")
        mark.__enter__()
        self._open[region.id] = mark

    def closed(self, region: OpenRegion) -> None:
        """End it."""
        mark = self._open.pop(region.id, None)
        if mark is not None:
            mark.__exit__(None, None, None)

    def end_rest(self) -> None:
        """End what is still open, innermost first."""
        while self._open:
            self._open.popitem()[1].__exit__(None, None, None)


class KinetoRecording:
    """A running or finished recording."""

    def __init__(self) -> None:
        self._trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """Kernels, memcpys and memsets with their calls and regions.

        Raises:
            RuntimeError: the recording still runs, or was ended by an exception.
        """
        if self._trace is None:
            raise RuntimeError("no Trace; the block has not been left, or only by an exception")
        return self._trace

    def finish(self, trace: Trace) -> None:
        """Set the Trace."""
        self._trace = trace


class KinetoRecorder:
    """Records what torch.profiler sees of the CUDA device."""

    name = "kineto"

    def available(self) -> tuple[bool, str]:
        """Whether this torch has Kineto and a CUDA device."""
        import torch

        if not torch.profiler.kineto_available():
            return False, "this torch is built without Kineto"
        if not torch.cuda.is_available():
            return False, "torch finds no CUDA device"
        return True, "torch.profiler and a CUDA device are there"

    def watch_captures(self) -> AbstractContextManager[None]:
        """Does nothing; see `harness.record.base.Recorder`."""
        return nullcontext()

    @contextmanager
    def record(self) -> Iterator[KinetoRecording]:
        """Open a recording; see `harness.record.base.Recorder`.

        Raises:
            MissingDeviceError: there is no CUDA device, or torch lacks Kineto.
            RecorderBusyError: torch.profiler runs already.
        """
        import torch
        from torch.profiler import ProfilerActivity

        ok, why = self.available()
        if not ok:
            raise MissingDeviceError(
                f"recorder kineto cannot run here: {why}",
                fix="run on a machine with an NVIDIA GPU, or use --recorder dispatch",
            )
        mark_traced("kineto")
        recording = KinetoRecording()
        torch.cuda.synchronize()
        with profiled([ProfilerActivity.CPU, ProfilerActivity.CUDA]) as (profiler, log):
            yield recording
            torch.cuda.synchronize()
        recording.finish(make_trace(export(profiler), log.rows))


@contextmanager
def profiled(activities: list[Any]) -> Iterator[tuple[Any, RegionLog]]:
    """Run torch.profiler with regions shown to it.

    Raises:
        RecorderBusyError: torch.profiler runs already.
    """
    import torch

    if torch_profiler_running():
        raise RecorderBusyError(
            "torch.profiler is running already", fix="record outside the other profile"
        )
    with ExitStack() as stack:
        profiler = stack.enter_context(torch.profiler.profile(activities=activities))
        log = stack.enter_context(RegionLog())
        marks = RegionMarks()
        stack.callback(marks.end_rest)
        for region in open_regions():
            marks.opened(region)
        add_listener(marks)
        stack.callback(remove_listener, marks)
        yield profiler, log


def export(profiler: Any) -> dict[str, Any]:
    """The Chrome trace of a finished profile; it alone holds launch configurations.

    Raises:
        InputError: torch.profiler wrote no readable trace.
    """
    with tempfile.TemporaryDirectory(prefix="harness-kineto-") as folder:
        path = Path(folder) / "trace.json"
        try:
            profiler.export_chrome_trace(str(path))
            document: dict[str, Any] = json.loads(path.read_bytes().decode(errors="replace"))
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"torch.profiler's trace cannot be exported ({error})",
                fix="check that the temporary folder (TMPDIR) has space, then record again",
            ) from error
    return document


def make_trace(document: dict[str, Any], regions: list[dict[str, Any]]) -> Trace:
    """Build a Trace.

    Args:
        document: a Chrome trace of torch.profiler, parsed.
        regions: rows of the regions table, marked in the trace by their ids.
    """
    tables = read_events(document, REGION_PREFIX, os.getpid())
    return Trace(
        activities_table(tables.activities),
        _info(document, tables),
        regions_table(regions),
        calls_table(tables.calls),
    )


def _info(document: dict[str, Any], tables: Tables) -> TraceInfo:
    reasons = []
    if tables.unattributed:
        reasons.append(f"{tables.unattributed} activities have no recorded launch call")
    versions = torch_versions()
    for key in ("cupti_version", "cuda_runtime_version", "cuda_driver_version"):
        if key in document:
            versions[key.removesuffix("_version")] = str(document[key])
    devices = document.get("deviceProperties") or [{}]
    return TraceInfo(
        source="kineto",
        created=now(),
        versions=versions,
        gpu={"name": devices[0]["name"]} if devices[0].get("name") else {},
        unattributed=tables.unattributed,
        incomplete=tuple(reasons),
        notes=NOTES,
    )
