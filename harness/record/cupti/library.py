"""Which libcupti is in this process, and which driver answers it."""

from __future__ import annotations

import ctypes
import functools
import re
from pathlib import Path

from harness.errors import MissingPackageError, RecorderBusyError
from harness.record.cupti.binding import Cupti
from harness.record.cupti.loaded import libraries_loaded

_SONAME = "libcupti.so.13"
_MAPPED = re.compile(r"(/\S*/libcupti\.so[.\d]*)$")


def mapped_libraries() -> list[str]:
    """Paths of all copies of libcupti in this process; more than one is a fault to report."""
    found: dict[str, None] = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        match = _MAPPED.search(line)
        if match:
            found[str(Path(match[1]).resolve())] = None
    return list(found)


@functools.lru_cache(maxsize=1)
def _mapped_after(loaded: int) -> list[str]:
    del loaded
    return mapped_libraries()


def mapped_now() -> list[str]:
    """As `mapped_libraries`, read again only where a library has been loaded since the last time
    (reading takes 1.2 ms in a process with torch)."""
    return _mapped_after(libraries_loaded())


@functools.cache
def load() -> Cupti:
    """The libcupti of this process, mapped by torch or, failing that, by its soname.

    Raises:
        MissingPackageError: there is no libcupti.
        RecorderBusyError: Proton has loaded another one.
    """
    import torch  # noqa: F401  maps the libcupti that it was built with

    paths = mapped_libraries()
    if not paths:
        try:
            ctypes.CDLL(_SONAME)
        except OSError as error:
            raise MissingPackageError(
                f"this torch brings no libcupti, and {_SONAME} is not on the library path",
                fix="pip install a CUDA 13 build of torch, or nvidia-cuda-cupti with its lib "
                "folder in LD_LIBRARY_PATH",
            ) from error
        paths = mapped_libraries()
    _refuse_proton(paths)
    return Cupti(paths[0])


def _refuse_proton(paths: list[str]) -> None:
    """Triton's profiler maps a libcupti of its own; with two, each sees a part of the records."""
    for path in paths:
        if "triton" in Path(path).parts:
            raise RecorderBusyError(
                f"Proton (triton.profiler) has loaded a libcupti of its own ({Path(path).name})",
                fix="record in a process that does not import triton.profiler",
            )


def driver_version() -> str:
    """The newest CUDA version that the driver supports (``13.0``); ``unknown`` if it cannot say."""
    number = ctypes.c_int()
    try:
        status = ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number))
    except OSError:
        return "unknown"
    return f"{number.value // 1000}.{number.value % 1000 // 10}" if status == 0 else "unknown"
