"""Traces from files of other tools: whatever was recorded elsewhere, as the one data model."""

from harness.record.files.detect import read_trace_file

__all__ = ["read_trace_file"]
