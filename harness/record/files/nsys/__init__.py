"""Reports of Nsight Systems."""

from harness.record.files.nsys.sqlite import read_nsys_sqlite

__all__ = ["read_nsys_sqlite"]
