"""Which CUDA API calls are recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal

Apis = Literal["launch", "all"]
"""``launch``: calls that can put work on the device; ``all``: what profilers list as well:
synchronisation, memory, streams, events, graphs and modules."""

# Launches of kernels and graphs, copies and fills, in every variant (_v2, _ptsz, Async, Ex, ...).
# What only builds or edits graph nodes puts nothing on the device; host functions neither.
_LAUNCHES = re.compile(r"^(cuda|cu|cu64)(Launch|GraphLaunch|Memcpy|Memset)")
_HOST_ONLY = re.compile(r"^(cuda|cu)LaunchHostFunc")

# Queries of some 20 ns that programs make by the million and that no profiler lists by default.
_QUERIES = re.compile(
    r"^(cuda|cu)(Get|Peek|Set|Ctx(Get|Set|Push|Pop)|Device|Driver|Func|Kernel|Occupancy"
    r"|Pointer|Tensor|StreamGet|StreamIsCapturing|ThreadExchange|PrimaryCtx)"
)
_WAITS = re.compile(r"^(cuda|cu)(Device|Ctx)Synchronize")


def puts_work_on_device(name: str) -> bool:
    """Whether a call of this name (such as ``cudaLaunchKernel_v7000``) can start an activity."""
    return bool(_LAUNCHES.match(name)) and not _HOST_ONLY.match(name)


def does_something(name: str) -> bool:
    """Whether a call of this name does more than ask or select."""
    return bool(_WAITS.match(name)) or not _QUERIES.match(name)


_KERNEL_LAUNCH = re.compile(r"^(cuda|cu)Launch(Kernel|CooperativeKernel)(?!MultiDevice)")
_GRAPH_LAUNCH = re.compile(r"^(cuda|cu)GraphLaunch")


def launches_kernel(name: str) -> bool:
    """Whether a successful call of this name puts one kernel on the device, or into a graph."""
    return bool(_KERNEL_LAUNCH.match(name))


def launches_graph(name: str) -> bool:
    """Whether a successful call of this name runs a graph."""
    return bool(_GRAPH_LAUNCH.match(name))


RECORDED: Mapping[Apis, Callable[[str], bool]] = {
    "launch": puts_work_on_device,
    "all": does_something,
}
