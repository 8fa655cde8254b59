"""What a CUPTI status code means for the user."""

from __future__ import annotations

from harness.errors import HarnessError, MissingDeviceError, RecorderBusyError

QUEUE_EMPTY = 18
HARDWARE_BUSY = 26
INSUFFICIENT_PRIVILEGES = (35, 40)
OLD_PROFILER_API = 36
MULTIPLE_SUBSCRIBERS = 39
# Not supported at all, on this kind of (virtual, confidential, MIG, SLI, WSL) device.
UNSUPPORTED_DEVICE = (2, 27, 33, 38, 41, 42, 43, 44, 45)
NOT_INITIALIZED = 15


class CuptiError(HarnessError):
    """CUPTI refused a call for a reason that the user cannot change by options."""


def busy(holder: str = "") -> RecorderBusyError:
    """The error for a CUPTI that somebody else holds.

    Args:
        holder: its name where CUPTI told it.
    """
    named = f" ({holder})" if holder else ""
    return RecorderBusyError(
        f"another profiler holds CUPTI in this process{named}: nsys, ncu, compute-sanitizer, "
        "Proton, or a torch.profiler that runs or has run here",
        fix="run without it, or in a new process; TEARDOWN_CUPTI=1 makes torch.profiler let go "
        "when it stops; --recorder kineto records through torch.profiler",
    )


def error_of(function: str, code: int, meaning: str) -> HarnessError:
    """The exception for a status code.

    Args:
        function: the libcupti function that returned it.
        code: CUptiResult, not 0.
        meaning: the name of the code, from cuptiGetResultString.
    """
    said = f"{function} failed with {meaning or 'CUptiResult'} ({code})"
    if code in (MULTIPLE_SUBSCRIBERS, OLD_PROFILER_API, HARDWARE_BUSY):
        error: HarnessError = busy()
        error.add_note(said)
        return error
    if code in INSUFFICIENT_PRIVILEGES:
        return CuptiError(
            f"this user may not profile the GPU: {said}",
            fix="run as root, give the container CAP_SYS_ADMIN, or load the NVIDIA driver with "
            "NVreg_RestrictProfilingToAdminUsers=0",
        )
    if code in UNSUPPORTED_DEVICE:
        return MissingDeviceError(
            f"CUPTI cannot trace this device: {said}",
            fix="use a GPU without virtualisation limits, or --recorder kineto",
        )
    if code == NOT_INITIALIZED:
        return MissingDeviceError(
            f"CUPTI found no working NVIDIA driver: {said}",
            fix="check that nvidia-smi works here and that the driver fits this CUDA release",
        )
    return CuptiError(
        said,
        fix="check that nvidia-smi works here and that the driver, torch and libcupti fit each "
        "other, then report it",
    )
