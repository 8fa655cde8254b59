"""A hand-made Trace of three layers whose weights are streamed."""

from __future__ import annotations

from harness.trace import Trace, TraceInfo, activities_table, calls_table, regions_table

COMPUTE, COPY, PAUSE = 1000, 600, 50
"""Of one layer, in ns; the pause is what the host takes between them."""

LAYERS = 3
BYTES = 2_000_000


def streamed(*, prefetch: bool, passes: int = 1) -> Trace:
    """Each layer computes for `COMPUTE`, after a copy of `COPY` that runs beside the layer before
    it, or not before that has ended."""
    made = _Program()
    ready = {}
    if prefetch:
        ready[0] = made.copy("prefetch_0", made.now)
    for step in range(passes):
        for layer in range(LAYERS):
            made.layer(layer, ready, prefetch, last=step == passes - 1)
    return made.trace()


class _Program:
    def __init__(self) -> None:
        self.now = 1000
        self.regions = [{"id": 0, "name": "<outside>"}]
        self.activities: list[dict] = []
        self.calls: list[dict] = []

    def layer(self, layer, ready, prefetch, last):
        name = "cache_hit" if layer in ready else "cache_miss"
        ensured = self.open(f"ensure_layer_{layer}")
        self.open(name, ensured)
        if layer not in ready:
            ready[layer] = self.copy(f"h2d_transfer_{layer}", self.now, ensured)
        around = self.open(f"layer_{layer}")
        begin = max(self.now, ready.pop(layer)) + PAUSE
        following = (layer + 1) % LAYERS
        if prefetch and not (last and following == 0):
            ready[following] = self.copy(f"prefetch_{following}", begin, around)
        self.launch("kernel", "_Z4gemmPf", begin, COMPUTE, 7, around)
        self.now = begin + COMPUTE
        self.open(f"evict_{layer}")

    def copy(self, name, at, parent=None):
        where = self.open(name, parent)
        self.launch("memcpy", "HtoD", at, COPY, 13, where, BYTES)
        return at + COPY

    def open(self, name, parent=None):
        region = {"id": len(self.regions), "name": name, "parent": parent, "style": "PushPop"}
        self.regions.append(region | {"start_ns": self.now - 20, "end_ns": self.now})
        return region["id"]

    def launch(self, kind, name, at, length, stream, region, size=None):
        number = len(self.activities) + 1
        row = {"kind": kind, "name": name, "start_ns": at, "end_ns": at + length, "process": 1}
        row |= {"device": 0, "stream": stream, "correlation": number, "bytes": size}
        self.activities.append(row | {"region": region})
        call = "cudaLaunchKernel_v7000" if kind == "kernel" else "cudaMemcpyAsync_v3020"
        row = {"name": call, "start_ns": at - 20, "end_ns": at - 10, "process": 1, "thread": 1}
        self.calls.append(row | {"correlation": number})

    def trace(self):
        self.activities.sort(key=lambda row: row["start_ns"])
        return Trace(
            activities_table(self.activities),
            TraceInfo("test"),
            regions_table(self.regions),
            calls_table(self.calls),
        )
