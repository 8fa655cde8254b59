"""Operator alignment harness."""
