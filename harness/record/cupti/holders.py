"""Who holds CUPTI's callback subscription."""

from __future__ import annotations

from pathlib import Path

ANONYMOUS = "<not provided>"
"""In what CUPTI reports of a holder that subscribed without a name: nsys and Kineto do."""

_LIBRARIES = (
    ("ToolsInjection", "Nsight Systems"),
    ("cuda-injection", "Nsight Compute"),
    ("libsanitizer", "compute-sanitizer"),
    ("libproton", "Proton"),
)
"""Part of the file name of a library that a profiler maps into the process, and the profiler."""


def named(reported: str, maps: str | None = None) -> str:
    """A holder's name as well as it can be told.

    Args:
        reported: by CUPTI.
        maps: text of /proc/self/maps, which is read when it is not given.
    """
    if ANONYMOUS not in reported:
        return reported
    files = Path("/proc/self/maps").read_text() if maps is None else maps
    for part, profiler in _LIBRARIES:
        if part in files:
            return profiler
    return "one without a name, as that of torch.profiler is"
