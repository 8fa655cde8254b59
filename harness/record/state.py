"""Whether this process has ever been traced: a traced process must not be timed any more."""

from __future__ import annotations

from typing import Any

_traced_by: set[str] = set()


def mark_traced(recorder: str = "cupti") -> None:
    """Remember that ``recorder`` enabled CUPTI here; there is no way back within a process."""
    _traced_by.add(recorder)


def has_traced() -> bool:
    """Whether CUPTI was ever enabled here; launches and graph replays stay slower afterwards."""
    return bool(_traced_by)


def traced_by() -> frozenset[str]:
    """Names of the recorders that did."""
    return frozenset(_traced_by)


def torch_profiler_running() -> bool:
    """Whether a torch.profiler is open in this process right now."""
    import torch

    autograd: Any = torch.autograd
    return bool(autograd._profiler_enabled())
