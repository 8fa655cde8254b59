"""One side of an alignment as plain JSON values: what it is, launched, measured, passed on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from harness.measure.model import GraphTopology, Measurement
from harness.names import display_name, identity_keys
from harness.record.dataflow import Flow
from harness.trace import Trace
from harness.trace.schema import LAUNCH_CONFIGURATION

_COPIED = (
    "stream",
    "device",
    "correlation",
    "graph",
    "graph_node",
    *LAUNCH_CONFIGURATION,
    "bytes",
    "value",
    "inputs",
    "outputs",
)
"""Columns of a Trace that the evidence repeats under the same name."""


def side_json(
    description: str,
    trace_eager: Trace | None,
    trace_replay: Trace | None,
    measurement: Measurement | None,
    flows: Sequence[Flow] | None,
    topology: GraphTopology | None,
    graph_problem: str,
) -> dict[str, Any]:
    """Everything about a side that the evidence holds.

    Args:
        description: what the side is and how it was built.
        trace_eager, trace_replay: one forward each; None where not recorded.
        measurement: latency samples (milliseconds per call); None where not timed.
        flows: tensors at each submodule; None where the side is not a module.
        topology: of the side's CUDA graph; None without one.
        graph_problem: why there is no graph, or why something about it is unknown.

    Returns:
        Keys ``description``, ``eager``, ``replay``, ``graph``, ``measurement``, ``data_flow``;
        null where there is nothing. Times are in the unit that the key names.
    """
    return {
        "description": description,
        "eager": None if trace_eager is None else trace_json(trace_eager),
        "replay": None if trace_replay is None else trace_json(trace_replay),
        "graph": _graph(topology, graph_problem, measurement),
        "measurement": None if measurement is None else _measurement(measurement),
        "data_flow": None if flows is None else [_flow(flow) for flow in flows],
    }


def trace_json(trace: Trace) -> dict[str, Any]:
    """A Trace's facts and its ordered activities; fields that the recorder lacks are left out."""
    regions = dict(
        zip(trace.regions["id"].to_pylist(), trace.regions["name"].to_pylist(), strict=True)
    )
    start = next((s for s in trace.activities["start_ns"].to_pylist() if s is not None), None)
    rows = [
        _activity(row, key, regions.get(row["region"]), start)
        for row, key in zip(trace.rows(), identity_keys(trace), strict=True)
    ]
    return {"info": json.loads(trace.info.to_json()), "activities": rows}


def _activity(
    row: dict[str, Any], key: str, region: str | None, first_ns: int | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": row["kind"],
        "name": row["name"],
        "identity": key,
        "display": display_name(key, row["kind"]),
        "region": region,
    }
    begin, end = row["start_ns"], row["end_ns"]
    if begin is not None and end is not None and first_ns is not None:
        found |= {"offset_ns": begin - first_ns, "duration_ns": end - begin}
    found |= {name: row[name] for name in _COPIED}
    return {name: value for name, value in found.items() if value is not None}


def _graph(
    topology: GraphTopology | None, problem: str, measurement: Measurement | None
) -> dict[str, Any]:
    graph: dict[str, Any] = {
        "used": topology is not None if measurement is None else measurement.mode == "graph",
        "problem": problem,
    }
    if topology is not None:
        graph["branches"] = topology.branches
        graph["nodes"] = [{"type": kind, "name": name} for kind, name in topology.nodes]
        graph["edges"] = [list(edge) for edge in topology.edges]
    return graph


def _measurement(measurement: Measurement) -> dict[str, Any]:
    return {
        "mode": measurement.mode,
        "clock": measurement.clock,
        "calls_per_sample": measurement.calls_per_sample,
        "instances": measurement.instances,
        "median_ms": measurement.median_ms,
        "samples_ms": list(measurement.samples_ms),
    }


def _flow(flow: Flow) -> dict[str, Any]:
    tensors = {name: dataclasses.asdict(spec) for name, spec in flow.tensors.items()}
    for spec in tensors.values():
        spec["shape"], spec["stride"] = list(spec["shape"]), list(spec["stride"])
    return {"path": flow.path, "call": flow.call, "tensors": tensors}
