"""A Trace as a JSON trace that ui.perfetto.dev and chrome://tracing open.

Categories and arguments are those of torch.profiler, so what reads its traces reads these, this
package included (`harness.record.files.kineto`). The format is Google's "Trace Event Format".
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path

import msgspec
import pyarrow.compute as pc

from harness.errors import InputError, NoSignalError
from harness.report.perfetto_device import DeviceTracks
from harness.report.perfetto_devices import gaps, graph_launches, kernels_running
from harness.report.perfetto_events import Event
from harness.report.perfetto_flows import flows_of
from harness.report.perfetto_host import HostTracks
from harness.report.perfetto_tracks import Tracks
from harness.trace import Trace

_BLOCK = 4096
"""Events that are written at once."""

_LEVEL = 6


def write_perfetto(trace: Trace, path: str | Path) -> Path:
    """Write a Trace for a viewer.

    Shown are, per process and thread, regions with the CUDA API calls in them; per device and
    process a row for each stream, one for launches of CUDA graphs, one for the gaps in which no
    kernel ran, and how many kernels ran where some overlap. What overlaps on a stream is spread
    over rows. Arrows lead from a call to the first activity that it launched.

    Times are exact: µs with three decimals after the first event, and ``baseTimeNanoseconds``.

    Args:
        trace: activities that have no times, such as ATen calls, are left out.
        path: the file to write, gzip where it ends in ``.gz``; replaced only when all is written.

    Returns:
        The path written.

    Raises:
        NoSignalError: no activity of a device has a start and an end.
        InputError: the file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(target.name + ".part")
    pieces = _document(trace)
    head = next(pieces)  # before a file is made
    try:
        with _opened(partial, target) as file:
            file.write(head)
            for piece in pieces:
                file.write(piece)
        partial.replace(target)
    except (OSError, ValueError, zlib.error) as error:
        with suppress(OSError, ValueError):
            partial.unlink(missing_ok=True)
        raise InputError(
            f"cannot write the trace to {target} ({error})",
            fix="choose a folder that exists and that you may write to",
        ) from error
    return target


def _opened(partial: Path, target: Path) -> BufferedIOBase:
    if target.suffix == ".gz":
        return gzip.open(partial, "wb", compresslevel=_LEVEL)
    return partial.open("wb")


def _document(trace: Trace) -> Iterator[bytes]:
    """The text of the file, in pieces."""
    tracks = Tracks()
    flows = flows_of(trace)
    names = dict(zip(*(trace.regions[one].to_pylist() for one in ("id", "name")), strict=True))
    device = DeviceTracks(trace.activities, flows.of_activity, names, tracks)
    if not len(device):
        raise NoSignalError(
            f"none of the {len(trace)} activities ran on a device at a known time",
            fix="record kernels (--recorder cupti); ATen calls have no times",
        )
    host = HostTracks(trace, flows.of_call, tracks, device.last_ns)
    base = _base(trace, device)
    yield _head(trace, base)
    comma = b""
    for block in _blocks(_events(host, device, tracks)):
        yield comma + b",\n".join(_line(event, base) for event in block)
        comma = b",\n"
    yield b"\n]}\n"


def _base(trace: Trace, device: DeviceTracks) -> int:
    """The first time of all, so that none is negative and all are small enough for a double."""
    host = [pc.min(table["start_ns"]).as_py() for table in (trace.regions, trace.calls)]
    first: int = min([device.first_ns, *(time for time in host if time is not None)])
    return first


def _events(host: HostTracks, device: DeviceTracks, tracks: Tracks) -> Iterator[Event]:
    yield from host.slices()
    yield from device.slices()
    for about in (graph_launches, gaps, kernels_running):
        yield from about(device)
    yield from tracks.metadata


def _blocks(events: Iterator[Event]) -> Iterator[list[Event]]:
    block: list[Event] = []
    for event in events:
        block.append(event)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


def _line(event: Event, base: int) -> bytes:
    if event["ph"] != "M":
        event["ts"] = _microseconds(event["ts"] - base)
    if "dur" in event:
        event["dur"] = _microseconds(event["dur"])
    return msgspec.json.encode(event)


def _microseconds(ns: int) -> msgspec.Raw:
    return msgspec.Raw(b"%d.%03d" % divmod(ns, 1000))


def _head(trace: Trace, base: int) -> bytes:
    info = trace.info
    device = {"id": 0, **{key: info.gpu[key] for key in ("name", "uuid") if key in info.gpu}}
    members = {
        "schemaVersion": 1,
        "displayTimeUnit": "ns",
        "baseTimeNanoseconds": base,
        "deviceProperties": [device] if info.gpu else [],
        "otherData": {
            "source": info.source,
            "versions": dict(info.versions),
            "incomplete": list(info.incomplete),
            "notes": list(info.notes),
        },
    }
    return msgspec.json.encode(members)[:-1] + b',"traceEvents":[\n'
