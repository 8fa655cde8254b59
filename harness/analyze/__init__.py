"""Questions to one Trace, answered by tables. Nothing here prints."""

from harness.analyze.nvidia_csv import csv_text
from harness.analyze.range_summary import range_projection, range_summary
from harness.analyze.summaries import api_summary, kernel_summary, memory_summary

__all__ = [
    "api_summary",
    "csv_text",
    "kernel_summary",
    "memory_summary",
    "range_projection",
    "range_summary",
]
