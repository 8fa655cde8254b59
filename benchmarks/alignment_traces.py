"""Traces of the lists of `alignment_lists`: launches with regions, times and configurations."""

from __future__ import annotations

import zlib

import numpy as np
import pyarrow as pa

from benchmarks.alignment_lists import LAYERS
from harness.align.observation import Observation, SideObservation
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from harness.trace.dims import dim3_column

LAUNCHES_OF_A_LAYER = 66
SPACING_NS = 1_000


def observation(mock: list[str], reference: list[str]) -> Observation:
    """One forward of each side with these launches on one stream."""
    sides = (("mock", mock), ("reference", reference))
    made = [SideObservation(label, label, eager=_trace(names)) for label, names in sides]
    return Observation(made[0], made[1], live=False)


def _trace(names: list[str]) -> Trace:
    count = len(names)
    encoded = pa.array(names).dictionary_encode()
    # A configuration that follows from the name, whatever its place in the dictionary.
    sums = [zlib.crc32(name.encode()) for name in encoded.dictionary.to_pylist()]
    kinds = np.array(sums, np.int64)[np.asarray(encoded.indices)]
    starts = np.arange(count) * SPACING_NS
    ones = np.ones(count, np.int64)
    layers = np.arange(count) // LAUNCHES_OF_A_LAYER
    columns = {
        "kind": pa.DictionaryArray.from_arrays(np.zeros(count, np.int8), ["kernel"]),
        "name": encoded,
        "start_ns": starts,
        "end_ns": starts + 900,
        "process": ones,
        "device": 0 * ones,
        "context": ones,
        "stream": 7 * ones,
        "grid": dim3_column(8 + kinds % 32, ones, ones),
        "block": dim3_column(128 * ones, ones, ones),
        "cluster": dim3_column(ones, ones, ones),
        "shared_static_bytes": 0 * ones,
        "shared_dynamic_bytes": 1024 * (kinds % 8),
        "registers": 32 + kinds % 64,
        "region": layers + 2,
    }
    table = {name: pa.array(values) if isinstance(values, np.ndarray) else values
             for name, values in columns.items()}  # fmt: skip
    regions = [{"id": 1, "name": "forward"}] + [
        {"id": at + 2, "name": f"model.layers.{at % LAYERS}.self_attn", "parent": 1}
        for at in range(int(layers[-1]) + 1)
    ]
    return Trace(activities_table(table), TraceInfo("made"), regions_table(regions))
