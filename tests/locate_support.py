"""Models and mocks to locate: recorded ones, and small ones whose truth is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.locate import Located
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from harness.trace.schema import ACTIVITIES
from tests.analyze_support import nsys_trace

H200 = "nsys2025.3_h200_vllm_dsa_graph_nodes.sqlite"
REGION = "layers.0.self_attn"

OPERATOR = [f"_Z2op{name}v" for name in "abcdefghijkl"]
MLP = ["_Z3upv", "_Z4actv", "_Z4downv"]
STEP = ["_Z5embedv"], ["_Z6argmaxv"]


def model(layers: int = 4, steps: int = 3, inside=lambda _step, _layer: OPERATOR) -> list[str]:
    """Names of a model's launches: a kernel before and one after the layers of each step."""
    names = []
    for step in range(steps):
        names += STEP[0]
        for layer in range(layers):
            names += [*inside(step, layer), *MLP]
        names += STEP[1]
    return names


def steps_and_layers(found: Located) -> list[tuple[int | None, int | None]]:
    """Step and layer of each occurrence."""
    return [(one.step, one.layer) for one in found.occurrences]


def each(steps: int, layers: int) -> list[tuple[int, int]]:
    """What `steps_and_layers` gives where every step has all layers."""
    return [(step, layer) for step in range(steps) for layer in range(layers)]


@cache
def h200() -> Trace:
    """vLLM's DSA layer on an H200: eager forwards, captures and 20 replays of either phase."""
    return nsys_trace(H200)


def without_regions(trace: Trace) -> Trace:
    """The same activities as of a tool that shows no ranges."""
    nothing = pa.nulls(len(trace), pa.int64())
    columns = {name: trace.activities[name] for name in ACTIVITIES.names}
    columns |= {"region": nothing, "launched_in": nothing}
    return Trace(pa.table(columns, schema=ACTIVITIES), trace.info)


def region_ids(trace: Trace, name: str, inside: int | None = None) -> list[int]:
    """Ids of the regions of this name, only those directly inside another one where it is given."""
    return [
        row["id"]
        for row in trace.regions.to_pylist()
        if row["name"] == name and (inside is None or row["parent"] == inside)
    ]


@cache
def h200_mock(phase: str) -> Trace:
    """What ``self_attn`` launches in the first eager forward of a phase."""
    trace = h200()
    (eager,) = region_ids(trace, f"{phase}_eager")
    (step,) = region_ids(trace, "step 0", eager)
    (attention,) = region_ids(trace, REGION, step)
    return replace(
        without_regions(trace),
        activities=without_regions(trace).activities.filter(
            pc.equal(trace.activities["region"], attention)
        ),
    )


def replays(phase: str) -> list[list[int]]:
    """Rows of ``self_attn`` in each step of the replays of a phase: the truth, by NVTX."""
    trace = h200()
    (root,) = region_ids(trace, f"{phase}_replay")
    captured = region_ids(trace, REGION, region_ids(trace, f"{phase}_capture")[0])
    found = []
    for number in range(20):
        (step,) = region_ids(trace, f"step {number}", root)
        table = trace.activities
        inside = pc.and_(
            pc.equal(table["launched_in"], step),
            pc.is_in(table["region"], pa.array(captured, pa.int64())),
        )
        found.append(pc.indices_nonzero(inside).to_pylist())
    return found


def kernels(names: Iterable[str], *, stream: int = 7, start: int = 0, every: int = 2000) -> list:
    """Rows of kernels one after the other, each a microsecond long."""
    return [
        {
            "kind": "kernel",
            "name": name,
            "start_ns": start + at * every,
            "end_ns": start + at * every + 1000,
            "process": 1,
            "device": 0,
            "stream": stream,
        }
        for at, name in enumerate(names)
    ]


def made(rows: Sequence[dict[str, Any]], regions: Sequence[dict[str, Any]] = ()) -> Trace:
    """A Trace of rows, sorted by start."""
    ordered = sorted(rows, key=lambda row: row["start_ns"])
    return Trace(activities_table(ordered), TraceInfo("test"), regions_table(list(regions)))


def trace_of(names: Iterable[str], **how: Any) -> Trace:
    """A Trace of kernels of these names."""
    return made(kernels(names, **how))
