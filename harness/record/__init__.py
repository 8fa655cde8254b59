"""Recorders: live or from a file, each gives a Trace."""
