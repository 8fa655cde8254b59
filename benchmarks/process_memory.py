"""Peak memory of this process; needs nothing but Python, so that peers' environments can use it."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_rss_mib() -> float:
    """Most resident memory of this process so far, MiB.

    On Linux ``VmHWM`` of proc(5): ``ru_maxrss`` also counts what the parent had when it started
    this process, since a process keeps it through exec. Elsewhere ``ru_maxrss``, which macOS gives
    in bytes and others in KiB.
    """
    if _STATUS.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
        if found:
            return int(found[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
