"""The figures of one Trace that programs ask for, as plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from harness.analyze.gaps import gaps
from harness.analyze.idle import Idle
from harness.analyze.selection import spans, timed
from harness.analyze.statistics import named_groups, statistics
from harness.analyze.summaries import longest_first
from harness.names.cxx import split, split_template
from harness.names.demangle import demangle
from harness.names.display import function_name
from harness.trace import Trace


def figures(trace: Trace, *, top: int = 5) -> dict[str, Any]:
    """Kernel count, kernel time, wall, idle time and the longest kernels.

    Args:
        top: how many kernels ``top_kernels`` names.

    Returns:
        ``kernels``, ``total_kernel_ns``, ``wall_ns``, ``busy_union_ns``, ``idle_union_ns``,
        ``wall_with_copies_ns``, ``busy_union_with_copies_ns``, ``idle_union_with_copies_ns``,
        ``gap_naive_ns`` (`harness.analyze.idle.Idle`) and ``processes`` of all devices pooled;
        ``devices``, a list of the same with ``device`` and ``process``; ``device_notes``, how
        devices are told apart, if that needs saying; ``top_kernels``, a list of ``name``,
        ``instances``, ``total_ns`` and ``share_of_total_kernel_ns``, by short name; and
        ``top_kernels_by_full_name``, the same by demangled name. Times are whole ns.

    Raises:
        NoSignalError: no kernel has both times.
        MissingPackageError: names cannot be demangled here.
    """
    found = gaps(trace, naive=True, largest=0)
    overall = _plain(found.overall)
    del overall["device"], overall["process"]
    return {
        **overall,
        "devices": [_plain(device) for device in found.devices],
        "device_notes": list(found.notes),
        "top_kernels": top_kernels(trace, top, short_name),
        "top_kernels_by_full_name": top_kernels(trace, top, demangle),
    }


def top_kernels(trace: Trace, top: int, rename: Callable[[str], str]) -> list[dict[str, Any]]:
    """The kernels that take most time, longest sum first.

    Args:
        top: how many.
        rename: gives a raw name as it is to be shown; kernels of one such name are one.
    """
    kernels = timed(trace.activities.select(["kind", "name", "start_ns", "end_ns"]), "kernel")
    names, group = named_groups(kernels["name"], rename)
    starts, ends = spans(kernels)
    sums = statistics(group, ends - starts)
    shown = [names[one] for one in sums.group.tolist()]
    total = int(sums.total.sum())
    return [
        {
            "name": shown[one],
            "instances": int(sums.count[one]),
            "total_ns": int(sums.total[one]),
            "share_of_total_kernel_ns": int(sums.total[one]) / total if total else None,
        }
        for one in longest_first(sums.total, shown)[:top]
    ]


def short_name(name: str) -> str:
    """The name of a kernel without namespaces, template arguments and parameters.

    So nsys has it as ``shortName``: every ``at::native::elementwise_kernel<...>`` is one.
    """
    return split_template(split(function_name(name), "::")[-1])[0]


def _plain(idle: Idle) -> dict[str, Any]:
    return asdict(idle)
