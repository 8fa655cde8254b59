"""The columns of a Trace: what one activity, one region and one API call is made of.

Units are nanoseconds on the recorder's clock and bytes. A null means that the recorder does not
know the value, never zero.
"""

from __future__ import annotations

import pyarrow as pa

from harness.trace.dims import DIM3_COLUMN

FORMAT_VERSION = 3
"""Version of the Parquet layout; a reader refuses any other."""

KINDS = ("kernel", "memcpy", "memset", "graph", "op")
"""Kinds of activity: kernel, memcpy and memset run on the device; ``graph`` is the whole launch of
a CUDA graph as one row, where a source does not show the nodes; ``op`` is an ATen call seen by the
dispatcher."""

STYLES = ("PushPop", "StartEnd", "Mark")
"""Styles of a region, as NVTX and ``nsys stats`` name them."""

OUTSIDE = 0
"""Id of the region that holds what was launched outside every region."""

OUTSIDE_NAME = "<outside>"

LAUNCH_CONFIGURATION = (
    "grid",
    "block",
    "cluster",
    "shared_static_bytes",
    "shared_dynamic_bytes",
    "registers",
)
"""Columns that say how a kernel was launched."""

TENSOR = pa.struct(
    [
        pa.field("shape", pa.list_(pa.int64())),
        pa.field("stride", pa.list_(pa.int64())),
        pa.field("dtype", pa.string()),
        pa.field("device", pa.string()),
    ]
)
"""A tensor that an ``op`` takes or returns: no data, only what it looks like."""

ACTIVITIES = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
        # kernels: the mangled name; ops: the overload name (aten::add.Tensor);
        # memcpy / memset: the direction (HtoD, DtoD, ...) / "memset"
        pa.field("name", pa.dictionary(pa.int32(), pa.string())),
        pa.field("start_ns", pa.int64()),
        pa.field("end_ns", pa.int64()),
        pa.field("process", pa.int32()),
        pa.field("device", pa.int32()),
        pa.field("context", pa.int32()),
        pa.field("stream", pa.int64()),
        pa.field("correlation", pa.int64()),
        pa.field("graph", pa.int64()),  # id of the executable graph
        pa.field("graph_node", pa.int64()),  # id of the node in the executable graph
        pa.field("grid", DIM3_COLUMN),
        pa.field("block", DIM3_COLUMN),
        pa.field("cluster", DIM3_COLUMN),
        pa.field("shared_static_bytes", pa.int32()),
        pa.field("shared_dynamic_bytes", pa.int32()),
        pa.field("registers", pa.int32()),  # per thread
        pa.field("bytes", pa.int64()),  # memcpy and memset: bytes moved or set
        pa.field("value", pa.int64()),  # memset: the value written
        # -> regions.id: the region in force when it was launched; of a graph's node, when the node
        # was captured, if that was in one. OUTSIDE: in none; null: the source cannot tell
        pa.field("region", pa.int64()),
        # -> regions.id, also of a node: at the graph's launch; null: as region
        pa.field("launched_in", pa.int64()),
        pa.field("inputs", pa.list_(TENSOR)),
        pa.field("outputs", pa.list_(TENSOR)),
    ]
)

REGIONS = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("parent", pa.int64()),  # -> regions.id; null: a root
        pa.field("start_ns", pa.int64()),  # host
        pa.field("end_ns", pa.int64()),  # host; null: still open when recording stopped
        pa.field("process", pa.int32()),
        pa.field("thread", pa.int64()),
        pa.field("domain", pa.string()),  # NVTX domain
        pa.field("style", pa.string()),  # of STYLES; null: the source does not say
    ]
)

CALLS = pa.schema(
    [
        pa.field("name", pa.dictionary(pa.int32(), pa.string())),
        pa.field("start_ns", pa.int64()),
        pa.field("end_ns", pa.int64()),
        pa.field("process", pa.int32()),
        pa.field("thread", pa.int64()),
        pa.field("correlation", pa.int64()),
        pa.field("return_code", pa.int32()),
        pa.field("region", pa.int64()),
    ]
)

TABLES: dict[str, pa.Schema] = {"activity": ACTIVITIES, "region": REGIONS, "call": CALLS}
