"""Real recordings as Traces, each read once."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from harness.record.files import read_trace_file
from harness.trace import Trace
from tests.nsys_files import export


@cache
def nsys_trace(name: str) -> Trace:
    """The Trace of a small copy of an Nsight Systems export."""
    with tempfile.TemporaryDirectory() as folder:
        return read_trace_file(export(name, Path(folder)))
