"""Kernels recorded live through CUPTI's activity API."""

from harness.record.cupti.recorder import CuptiRecorder

__all__ = ["CuptiRecorder"]
