"""Operator alignment harness: does a benchmark launch the kernels of the real model layer?

``from harness import align_op, benchmark_with_power, region``
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.measure.benchmark import benchmark_with_power
    from harness.record.regions import region
    from harness.session import align_op

__all__ = ["align_op", "benchmark_with_power", "region"]

_WHERE = {
    "align_op": "harness.session",
    "benchmark_with_power": "harness.measure.benchmark",
    "region": "harness.record.regions",
}


def __getattr__(name: str) -> Any:
    # Late, so that importing the package touches neither torch nor a vendor library.
    if name not in _WHERE:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
