"""What stands in a collector's modules while they are patched: its benchmark, and its writers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import InputError
from harness.measure.benchmark import benchmark_with_power

BENCHMARK = "benchmark_with_power"
WRITER = frozenset({"item_list", "perf_filename"})
"""Parameters by which a function that appends rows to a file is known (log_perf has them)."""

Written = Callable[[Mapping[str, Any]], None]


def substitute(written: Written) -> Callable[[str, Any], Any]:
    """For `harness.session.patch.patched`: ours for a benchmark, a listener around a writer.

    Args:
        written: told the arguments, by name, of each call of a writer that has returned.
    """

    def choose(name: str, value: Any) -> Any:
        if value is benchmark_with_power:
            return None
        if name == BENCHMARK and callable(value):
            return benchmark_like(value)
        if inspect.isfunction(value) and set(_signature(value).parameters) >= WRITER:
            return heard(value, written)
        return None

    return choose


def benchmark_like(original: Callable[..., Any]) -> Callable[..., Any]:
    """``harness.benchmark_with_power`` with the parameters, order and defaults of another.

    Raises:
        InputError: the other takes something that ours does not.
    """
    signature = _signature(original)
    unknown = set(signature.parameters) - set(_signature(benchmark_with_power).parameters)
    if unknown:
        raise InputError(
            f"the {BENCHMARK} of {original.__module__} takes {', '.join(sorted(unknown))}, "
            "which harness's does not",
            fix="call harness.benchmark_with_power where that is needed, and do not patch this one",
        )

    @functools.wraps(original)
    def benchmark(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return benchmark_with_power(**bound.arguments)

    return benchmark


def heard(writer: Callable[..., Any], written: Written) -> Callable[..., Any]:
    """The writer as it is; after it has returned, ``written`` is told."""
    signature = _signature(writer)

    @functools.wraps(writer)
    def write(*args: Any, **kwargs: Any) -> Any:
        value = writer(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        written(bound.arguments)
        return value

    return write


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)
