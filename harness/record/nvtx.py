"""NVTX ranges; the only file that imports the ``nvtx`` package."""

from __future__ import annotations

import functools
import warnings
from typing import Any


@functools.cache
def _domain(name: str) -> Any:
    try:
        import nvtx
    except ImportError:
        warnings.warn(
            "regions are attributed but not shown to nsys: the package nvtx is not installed "
            "(pip install nvtx)",
            RuntimeWarning,
            stacklevel=4,  # this file twice, regions.py, and then who opened the region
        )
        return None
    return nvtx.get_domain(name)


@functools.lru_cache(maxsize=4096)
def _attributes(message: str, domain: str) -> Any:
    return _domain(domain).get_event_attributes(message)


def push(message: str, domain: str) -> None:
    """Open an NVTX range on this thread."""
    target = _domain(domain)
    if target is not None:
        target.push_range(_attributes(message, domain))


def pop(domain: str) -> None:
    """Close the innermost NVTX range of this thread in ``domain``."""
    target = _domain(domain)
    if target is not None:
        target.pop_range()
