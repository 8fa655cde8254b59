"""A Trace is written and read under every name that the file system takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.record.files import read_trace_file
from harness.trace import read_trace, write_trace
from tests.locate_support import trace_of


@pytest.fixture
def named(tmp_path):
    """A path whose name is no UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.parquet"))
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    return path


def test_a_name_that_is_no_utf_8_is_written_and_read(named):
    write_trace(trace_of(["_Z1av"]), named)
    assert len(read_trace(named)) == 1
    assert len(read_trace_file(named)) == 1


def test_a_folder_is_no_trace(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(tmp_path)
