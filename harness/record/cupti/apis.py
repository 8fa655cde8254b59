"""Which CUDA API calls are recorded: those that can put work on the device, no others."""

from __future__ import annotations

import re

# Launches of kernels and graphs, copies and fills, in every variant (_v2, _ptsz, Async, Ex, ...).
# What only builds or edits graph nodes puts nothing on the device; host functions neither.
_LAUNCHES = re.compile(r"^(cuda|cu|cu64)(Launch|GraphLaunch|Memcpy|Memset)")
_HOST_ONLY = re.compile(r"^(cuda|cu)LaunchHostFunc")


def puts_work_on_device(name: str) -> bool:
    """Whether a call of this name (such as ``cudaLaunchKernel_v7000``) can start an activity."""
    return bool(_LAUNCHES.match(name)) and not _HOST_ONLY.match(name)
