"""Edited recordings: what nothing may plant on a card, put into a Trace of an H200.

The recording is of 20 graph replays of decode of vLLM's DSA layer (tests/data/README.md). One
function per ``plant``; each gives an observation whose reference is the recording as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.align.observation import Observation, SideObservation
from harness.measure.model import Measurement, PairedMeasurement
from harness.trace import Trace, read_trace

RECORDING = Path(__file__).parent.parent / "tests" / "data" / "nsys_h200_replays.parquet"
FORWARD = "forward"
STEP = "decode_replay"
EXPERT = "fused_moe_kernel"


def recorded() -> Trace:
    """The 20 decode replays, each a region ``forward`` with all that the step launched."""
    trace = read_trace(RECORDING)
    rows = trace.regions.to_pylist()
    (root,) = (row["id"] for row in rows if row["name"] == STEP)
    steps = {row["id"] for row in rows if row["parent"] == root}
    names = [FORWARD if row["id"] in steps else row["name"] for row in rows]
    at = trace.regions.schema.get_field_index("name")
    field = trace.regions.field(at)
    inside = pc.is_in(trace.launch_regions(), pa.array(sorted(steps), pa.int64()))
    return replace(
        trace,
        activities=trace.activities.filter(inside),
        regions=trace.regions.set_column(at, field, pa.array(names, field.type)),
    )


def observed(mock: Trace, **changes: Any) -> Observation:
    """The edited recording against itself as it was."""
    reference = changes.pop("reference", recorded())
    return Observation(
        SideObservation("mock", "edited", eager=mock),
        SideObservation("reference", "as recorded", eager=reference),
        no_numerics="a recording computes nothing",
        live=False,
        **changes,
    )


def edited(trace: Trace, column: str, values: list[Any]) -> Trace:
    """The Trace with other values in one column of its activities."""
    table = trace.activities
    at = table.schema.get_field_index(column)
    field = table.schema.field(at)
    made = pa.array(values, field.type.value_type) if column == "name" else None
    new = made.dictionary_encode().cast(field.type) if made is not None else values
    if column == "grid":
        from harness.trace.columns import column_of

        new = column_of(values, field.type)
    elif made is None:
        new = pa.array(values, field.type)
    return replace(trace, activities=table.set_column(at, field, pa.chunked_array([new])))


def other_tile() -> Observation:
    """One GEMM of cuBLAS with another tile."""
    trace = recorded()
    names = trace.activities["name"].cast(pa.string()).to_pylist()
    turned = [re.sub(r"(nvjet_sm90_tst)_64x8_", r"\1_128x8_", name or "") for name in names]
    return observed(edited(trace, "name", turned))


def router_collapse() -> Observation:
    """GEMMs as those of experts, whose grids shrink to one expert's on the mock's side."""
    trace = recorded()
    names = trace.activities["name"].cast(pa.string()).to_pylist()
    experts = [bool(name) and "nvjet" in name for name in names]
    renamed = [EXPERT if e else name for e, name in zip(experts, names, strict=True)]
    reference = edited(trace, "name", renamed)
    grids = trace.activities["grid"].to_pylist()
    one = [[1, 1, 1] if e else grid for e, grid in zip(experts, grids, strict=True)]
    return observed(edited(reference, "grid", one), reference=reference)


def lower_clocks(factor: float = 1.12) -> Observation:
    """Every kernel takes longer by one factor."""
    trace = recorded()
    starts, ends = (trace.activities[name].to_pylist() for name in ("start_ns", "end_ns"))
    first = min(starts)
    later = [round(first + (start - first) * factor) for start in starts]
    until = [new + round((end - start) * factor)
             for new, start, end in zip(later, starts, ends, strict=True)]  # fmt: skip
    made = edited(edited(trace, "start_ns", later), "end_ns", until)
    slow = replace(made, info=replace(made.info, gpu={**made.info.gpu, "sm_clock_mhz": 1768}))
    fast = recorded()
    fast = replace(fast, info=replace(fast.info, gpu={**fast.info.gpu, "sm_clock_mhz": 1980}))
    return observed(slow, reference=fast, pair=pair(factor))


def cold_start(factor: float = 13.4) -> Observation:
    """The first samples of the mock hold what a warm-up would have taken (497 ms against 37)."""
    return observed(recorded(), pair=pair(1.05, first=factor))


def pair(ratio: float, first: float = 1.0) -> PairedMeasurement:
    """A measurement of 40 pairs with this ratio."""
    reference = tuple(0.294 * (1 + 1e-4 * (at % 5)) for at in range(40))
    mock = tuple(ratio * value * (first if at < 2 else 1) for at, value in enumerate(reference))
    interval = (ratio - 0.002, ratio + 0.002)
    one, other = (Measurement(label, samples, 4, "graph") for label, samples in
                  (("mock", mock), ("reference", reference)))  # fmt: skip
    return PairedMeasurement(one, other, ratio, interval, "edited")


BY_NAME: dict[str, Callable[[], Observation]] = {
    made.__name__: made for made in (other_tile, router_collapse, lower_clocks, cold_start)
}
