"""Nsight Compute's files: CSV pages, and reports through the installed ``ncu``."""

from harness.record.files.ncu.page import read_ncu
from harness.record.files.ncu.report import METRICS, RULES, NcuReport
from harness.record.files.ncu.units import in_base_units

__all__ = ["METRICS", "RULES", "NcuReport", "in_base_units", "read_ncu"]
