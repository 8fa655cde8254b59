"""Which fields of which records are read, and what a CUDA program can put into them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Kind(IntEnum):
    """The CUpti_ActivityKind values that are recorded."""

    MEMCPY = 1
    MEMSET = 2
    DRIVER = 4
    RUNTIME = 5
    KERNEL = 10
    MARKER = 12
    MEMCPY_PEER = 22
    EXTERNAL_CORRELATION = 39


_ACTIVITY = (
    "start", "end", "context_id", "correlation_id", "graph_id", "graph_node_id", "stream_id",
    "device_id",
)  # fmt: skip
_API = ("kind", "cbid", "start", "end", "process_id", "thread_id", "correlation_id", "return_value")
DIMS = tuple(f"{what}_{axis}" for what in ("grid", "block", "cluster") for axis in "xyz")

FIELDS: Mapping[int, tuple[str, ...]] = {
    Kind.MEMCPY: (*_ACTIVITY, "copy_kind", "bytes"),
    Kind.MEMSET: (*_ACTIVITY, "bytes", "value"),
    Kind.DRIVER: _API,
    Kind.RUNTIME: _API,
    Kind.KERNEL: (
        *_ACTIVITY, *DIMS, "name", "static_shared_memory", "dynamic_shared_memory",
        "registers_per_thread",
    ),
    Kind.MARKER: ("flags_", "timestamp", "id", "object_kind", "object_id", "name", "domain"),
    Kind.MEMCPY_PEER: (*_ACTIVITY, "bytes"),
    Kind.EXTERNAL_CORRELATION: ("external_kind", "external_id", "correlation_id"),
}  # fmt: skip
"""By kind, the fields that are copied out of a buffer."""

_GRID_X, _GRID_YZ, _BLOCK_XY, _BLOCK_Z = (1, 2**31 - 1), (1, 65535), (1, 1024), (1, 64)

_IDS = {
    "device_id": (0, 1023), "graph_id": (0, 2**31 - 1),
}  # fmt: skip

BOUNDS: Mapping[int, Mapping[str, tuple[int, int]]] = {
    Kind.KERNEL: {
        "grid_x": _GRID_X, "grid_y": _GRID_YZ, "grid_z": _GRID_YZ,
        "block_x": _BLOCK_XY, "block_y": _BLOCK_XY, "block_z": _BLOCK_Z,
        "cluster_x": (0, 65535), "cluster_y": (0, 65535), "cluster_z": (0, 65535),
        "registers_per_thread": (0, 255), "static_shared_memory": (0, 1 << 24),
        "dynamic_shared_memory": (0, 1 << 24), **_IDS,
    },
    Kind.MEMCPY: {"copy_kind": (0, 10), **_IDS},
    Kind.MEMSET: _IDS,
    Kind.MEMCPY_PEER: _IDS,
    Kind.RUNTIME: {"cbid": (1, 65535)},
    Kind.DRIVER: {"cbid": (1, 65535)},
    Kind.EXTERNAL_CORRELATION: {"external_kind": (0, 64)},
}  # fmt: skip
"""By kind and field, the least and the most that occurs: launch limits of the CUDA C++ Programming
Guide (table of technical specifications), the counts of CUPTI's enumerations, and round figures
far beyond any device. Outside of them the bytes are no record."""
