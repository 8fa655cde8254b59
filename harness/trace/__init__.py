"""The data model that every stage shares and that imports none of them."""

from harness.trace.info import TraceInfo
from harness.trace.model import Trace, activities_table, calls_table, names_of, regions_table
from harness.trace.parquet import read_trace, write_trace
from harness.trace.schema import FORMAT_VERSION

__all__ = [
    "FORMAT_VERSION",
    "Trace",
    "TraceInfo",
    "activities_table",
    "calls_table",
    "names_of",
    "read_trace",
    "regions_table",
    "write_trace",
]
