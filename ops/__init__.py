"""Operators to compare and the framework adapters that build them."""
