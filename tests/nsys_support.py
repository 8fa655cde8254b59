"""The Traces of the recorded Nsight Systems exports, read once each."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from harness.record.files.nsys import read_nsys_sqlite
from tests.nsys_files import export


@cache
def nsys_trace(name):
    """The Trace of an export of tests/data/nsys."""
    with tempfile.TemporaryDirectory() as folder:
        return read_nsys_sqlite(export(name, Path(folder)))
