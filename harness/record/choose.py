"""Which recorder runs, and why; never switched silently."""

from __future__ import annotations

from harness.errors import HarnessError, InputError, MissingDeviceError, MissingPackageError
from harness.plugins import load_plugin, plugin_names
from harness.record.base import Recorder

RECORDERS_GROUP = "harness.recorders"
BUILT_IN = {
    "cupti": "harness.record.cupti:CuptiRecorder",
    "kineto": "harness.record.kineto:KinetoRecorder",
    "dispatch": "harness.record.dispatch:DispatchRecorder",
}


def recorder_names() -> list[str]:
    """Names of all recorders, the built-in ones first."""
    return plugin_names(RECORDERS_GROUP, BUILT_IN)


def make_recorder(name: str) -> Recorder:
    """A recorder by name.

    Raises:
        InputError: there is none of this name.
    """
    found = load_plugin(name, RECORDERS_GROUP, BUILT_IN)
    if found is None:
        raise InputError(
            f"unknown recorder {name!r}", fix=f"use auto or one of {', '.join(recorder_names())}"
        )
    made: Recorder = found()
    return made


def choose_recorder(wanted: str, device: str) -> tuple[Recorder, str]:
    """The recorder to use and why.

    Args:
        wanted: a recorder's name, or ``auto``: cupti on a CUDA device, dispatch elsewhere.
        device: ``cuda``, ``cpu`` or ``meta``: where the operator runs.

    Raises:
        InputError: the name is unknown.
        MissingDeviceError: it needs a GPU and there is none.
        MissingPackageError: a package that it needs is not installed.
    """
    if wanted != "auto":
        recorder = make_recorder(wanted)
        ok, why = recorder.available()
        if not ok:
            raise _unavailable(wanted, why, device)
        return recorder, f"asked for ({why})"
    if device != "cuda":
        recorder = make_recorder("dispatch")
        return recorder, "no CUDA device here, so ATen calls from the dispatcher"
    recorder = make_recorder("cupti")
    ok, why = recorder.available()
    if not ok:
        # Kineto would work, but switching to it is for the user to decide.
        raise _unavailable("cupti", why, device)
    return recorder, f"live kernels on the CUDA device ({why})"


def _unavailable(name: str, why: str, device: str) -> HarnessError:
    if device != "cuda":
        return MissingDeviceError(
            f"recorder {name} needs an NVIDIA GPU, and there is none here ({why})",
            fix="run on a machine with one, or use --recorder dispatch",
        )
    return MissingPackageError(
        f"recorder {name} cannot run: {why}",
        fix="run: pip install 'cupti-python>=13.0.1', or ask for --recorder kineto",
    )
