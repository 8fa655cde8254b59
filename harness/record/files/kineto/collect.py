"""What is kept of the events of a trace: device activities, API calls, ranges, names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from harness.record.files.kineto.columns import Dims, Integers, Names
from harness.record.files.kineto.events import Event, Launch, label_of, launch_of
from harness.record.files.kineto.scan import MalformedError
from harness.record.files.kineto.times import nanoseconds
from harness.record.kineto_events import activity_name
from harness.trace.schema import KINDS

DEVICE = {
    "kernel": "kernel",
    "gpu_memcpy": "memcpy",
    "gpu_memset": "memset",
    # torch 1.8 to 1.11
    "Kernel": "kernel",
    "Memcpy": "memcpy",
    "Memset": "memset",
}
"""Kind of activity by category."""

CALLS = ("cuda_runtime", "cuda_driver", "Runtime")
"""Categories of CUDA API calls (of HIP calls too)."""

INTEGERS = (
    "kind", "start_ns", "end_ns", "process", "device", "context", "stream", "correlation", "graph",
    "graph_node", "shared_static_bytes", "shared_dynamic_bytes", "registers", "bytes", "value",
)  # fmt: skip
DIMS = ("grid", "block", "cluster")
CALL_INTEGERS = ("start_ns", "end_ns", "process", "thread", "correlation", "return_code")

_KIND = {category: KINDS.index(kind) for category, kind in DEVICE.items()}
_KERNEL = KINDS.index("kernel")

Row = dict[str, Any]


class Collected:
    """Columns that grow with every batch of events.

    Args:
        ranges: categories whose events become regions.

    Attributes:
        integers, names, dims: of the activities, times not yet on the base time.
        calls, call_names: of the API calls.
        regions: rows of a regions table, without ids.
        left_out: number of further events with a duration by category.
        processes: label by process id.
        threads: label by thread id.
        fractions: whether some time is no whole number of µs.
        backwards: events whose duration is negative.
    """

    def __init__(self, ranges: Collection[str]) -> None:
        self.integers = {name: Integers() for name in INTEGERS}
        self.dims = {name: Dims() for name in DIMS}
        self.names = Names()
        self.calls = {name: Integers() for name in CALL_INTEGERS}
        self.call_names = Names()
        self.regions: list[Row] = []
        self.left_out: Counter[str] = Counter()
        self.processes: dict[int, str] = {}
        self.threads: dict[int, str] = {}
        self.fractions = False
        self.backwards = 0
        self._ranges = frozenset(ranges)

    def add(self, events: Iterable[Event]) -> None:
        """Keep what is needed of a batch.

        Raises:
            MalformedError: a field of an event that is needed has the wrong type.
        """
        for event in events:
            category = event.cat
            if event.ph == "X" and category is not None:
                if category in _KIND:
                    self._activity(event, _KIND[category])
                elif category in CALLS:
                    self._call(event)
                elif category in self._ranges:
                    self._region(event)
                else:
                    self.left_out[category] += 1
            elif event.ph == "M":
                self._label(event)

    def _span(self, event: Event) -> tuple[int, int | None]:
        """Start and end in ns; no end where there is no sound duration."""
        try:
            text = bytes(event.ts)
            start = nanoseconds(text)
            self.fractions = self.fractions or b"." in text
            length = nanoseconds(bytes(event.dur)) if len(bytes(event.dur)) else None
        except MalformedError as error:
            raise MalformedError(f"{str(event.name)[:80]!r}: {error}") from error
        if length is not None and length < 0:
            self.backwards += 1
            length = None
        return start, None if length is None else start + length

    def _activity(self, event: Event, kind: int) -> None:
        start, end = self._span(event)
        args = launch_of(event)
        values = self.integers
        values["kind"].append(kind)
        values["start_ns"].append(start)
        values["end_ns"].append(end)
        values["process"].append(args.process)
        values["device"].append(args.in_device if args.device is None else args.device)
        values["context"].append(args.in_context if args.context is None else args.context)
        values["stream"].append(args.stream)
        values["correlation"].append(args.correlation)
        values["graph"].append(args.graph or None)  # 0: in no graph
        values["graph_node"].append(args.graph_node or None)
        values["bytes"].append(args.bytes)
        values["value"].append(args.value)
        self._configuration(args, kind == _KERNEL)
        self.names.append(args.symbol or activity_name(KINDS[kind], str(event.name)))

    def _configuration(self, args: Launch, kernel: bool) -> None:
        values = self.integers
        values["shared_static_bytes"].append(args.static if kernel else None)
        dynamic = args.shared if args.dynamic is None else args.dynamic
        values["shared_dynamic_bytes"].append(dynamic if kernel else None)
        values["registers"].append(args.registers if kernel else None)
        self.dims["grid"].append(args.grid if kernel else None)
        self.dims["block"].append(args.block if kernel else None)
        self.dims["cluster"].append(args.cluster if kernel else None)

    def _call(self, event: Event) -> None:
        start, end = self._span(event)
        args = launch_of(event)
        values = self.calls
        values["start_ns"].append(start)
        values["end_ns"].append(end)
        values["process"].append(whole(event.pid))
        values["thread"].append(whole(event.tid))
        values["correlation"].append(args.correlation)
        values["return_code"].append(args.return_code)
        self.call_names.append(str(event.name))

    def _region(self, event: Event) -> None:
        start, end = self._span(event)
        self.regions.append(
            {
                "name": str(event.name),
                "start_ns": start,
                "end_ns": end,
                "process": whole(event.pid),
                "thread": whole(event.tid),
                "domain": event.cat,
            }
        )

    def _label(self, event: Event) -> None:
        labels = {"process_name": self.processes, "thread_name": self.threads}.get(str(event.name))
        number = whole(event.pid if event.name == "process_name" else event.tid)
        if labels is not None and number is not None:
            labels[number] = label_of(event)


def whole(identifier: Any) -> int | None:
    """A process or thread id; None for one that is a text other than digits."""
    if isinstance(identifier, str) and identifier.isdecimal() and len(identifier) < 19:
        return int(identifier)
    return identifier if type(identifier) is int and abs(identifier) < 1 << 63 else None
