"""The tables of an export that hold activities, and which of their columns say what.

A release adds columns and tables and drops none of these; what a file lacks stays null.
"""

from __future__ import annotations

KERNELS = "CUPTI_ACTIVITY_KIND_KERNEL"
COPIES = "CUPTI_ACTIVITY_KIND_MEMCPY"
FILLS = "CUPTI_ACTIVITY_KIND_MEMSET"
GRAPHS = "CUPTI_ACTIVITY_KIND_GRAPH_TRACE"

KIND_OF = {KERNELS: "kernel", COPIES: "memcpy", FILLS: "memset", GRAPHS: "graph"}
"""Kind of activity by table."""

DIRECTIONS = (
    "unknown", "HtoD", "DtoH", "HtoA", "AtoH", "AtoA", "AtoD", "DtoA", "DtoD", "HtoH", "PtoP",
    "UVM HtoD", "UVM DtoH", "UVM DtoD",
)  # fmt: skip
"""By ENUM_CUDA_MEMCPY_OPER of the exports: CUpti_ActivityMemcpyKind, then unified memory's."""

NAMES = {
    KERNELS: ("mangledName", "demangledName", "shortName"),
    COPIES: ("copyKind",),
    GRAPHS: ("graphId", "graphExecId"),
}
"""Columns that name an activity: ids of strings, a direction, or the id of a graph."""

UNNAMED = {KERNELS: "<unknown>", COPIES: DIRECTIONS[0], FILLS: "memset", GRAPHS: "graph"}
"""What has no such column, or null in it."""

INTEGERS: dict[str, tuple[str, ...]] = {
    "start_ns": ("start",),
    "end_ns": ("end",),
    "device": ("deviceId",),
    "context": ("contextId",),
    "stream": ("streamId",),
    "correlation": ("correlationId",),
    "graph": ("graphExecId", "graphId"),
    "graph_node": ("graphNodeId",),
    "shared_static_bytes": ("staticSharedMemory",),
    "shared_dynamic_bytes": ("dynamicSharedMemory",),
    "registers": ("registersPerThread",),
    "bytes": ("bytes",),
    "value": ("value",),
}
"""Column of a Trace -> columns of an export."""

DIMS: dict[str, tuple[str, str, str]] = {
    "grid": ("gridX", "gridY", "gridZ"),
    "block": ("blockX", "blockY", "blockZ"),
    "cluster": ("clusterX", "clusterY", "clusterZ"),
}
