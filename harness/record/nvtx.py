"""NVTX ranges; the only file that imports the ``nvtx`` package."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def _domain(name: str) -> Any:
    try:
        import nvtx
    except ImportError:
        # Without the package nothing can show ranges either, and attribution does not use them.
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
