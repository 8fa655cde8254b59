"""Records what a block of code launches, live, through CUPTI."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import InputError, MissingDeviceError, MissingPackageError, RecorderBusyError
from harness.record.backward import watch_backward
from harness.record.cupti import binding, captures, library
from harness.record.cupti.apis import Apis
from harness.record.cupti.assemble import make_trace
from harness.record.cupti.decode import decode
from harness.record.cupti.layout import OLDEST, Layouts, documented_sizes, make_layouts
from harness.record.cupti.session import Session
from harness.record.cupti.structs import structs
from harness.record.cupti.tables import Known, build
from harness.record.residual import calibrate_before_tracing, residual_once
from harness.record.state import mark_traced, torch_profiler_running
from harness.trace import Trace

_running = threading.Lock()


def _forget_in_child() -> None:
    global _running
    _running = threading.Lock()


os.register_at_fork(after_in_child=_forget_in_child)


class CuptiRecording:
    """A running or finished recording."""

    def __init__(self) -> None:
        self._trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """Kernels, memcpys and memsets with their calls and regions.

        Raises:
            RuntimeError: the recording still runs, or could not be read after a failure.
        """
        if self._trace is None:
            raise RuntimeError("no Trace: the with block has not been left, or reading failed")
        return self._trace

    def finish(self, trace: Trace) -> None:
        """Set the Trace."""
        self._trace = trace


class CuptiRecorder:
    """Records kernels, memcpys and memsets of this process, on every thread, stream and device.

    The devices that the process uses are synchronised on entering and on leaving. Not inside a CUDA
    graph capture: capture within the block instead, or in `watch_captures` before it.

    Args:
        share: record although another holds CUPTI's callback subscription, as an idle
            torch.profiler does that ran before in this process.
        apis: which API calls are recorded: ``launch``, those that can put work on the device, or
            ``all``, also synchronisation, memory, streams, events, graphs and modules.
        nvtx: take NVTX ranges as regions too. They reach CUPTI only in a process that was started
            with NVTX_INJECTION64_PATH naming its libcupti, as ``python -m harness.record`` does.
        residual: at the first recording of the process, measure what tiny launches and graph nodes
            cost before and what they cost afterwards, for TraceInfo (two times 0.1 s).
    """

    name = "cupti"

    def __init__(
        self,
        *,
        share: bool = False,
        apis: Apis = "launch",
        nvtx: bool = False,
        residual: bool = True,
    ) -> None:
        self._share = share
        self._residual = residual
        self._unmeasured = ""
        self._apis: Apis = apis
        self._nvtx = nvtx

    def available(self) -> tuple[bool, str]:
        """Whether cupti-python is installed and torch has a CUDA device."""
        if importlib.util.find_spec("cupti") is None:
            return False, "the package cupti-python is not installed"
        import torch

        if not torch.cuda.is_available():
            return False, "torch finds no CUDA device"
        return True, "cupti-python and a CUDA device are there"

    @contextmanager
    def watch_captures(self) -> Iterator[None]:
        """Note in which region each node of the CUDA graphs captured in the block is made.

        For graphs that are captured before the recording in which they are replayed. Counts as
        tracing: launches and replays stay slower afterwards.

        Raises:
            MissingPackageError, MissingDeviceError, RecorderBusyError: as `record`.
        """
        cupti, _ = _prepare()
        self._calibrate()
        with captures.subscribed(cupti) as held, watch_backward(cupti.timestamp) as backward:
            mark_traced("cupti")
            held.backward = backward
            yield

    def _calibrate(self) -> None:
        """Take the figures from before tracing, or keep why not for the next Trace."""
        if not self._residual:
            return
        try:
            calibrate_before_tracing()
        except RuntimeError as error:
            self._unmeasured = _not_measured(error)

    def _note_residual(self, session: Session) -> None:
        if not self._residual:
            return
        try:
            session.costs |= residual_once()
        except RuntimeError as error:
            self._unmeasured = _not_measured(error)
        if self._unmeasured:
            session.notes.append(self._unmeasured)

    @contextmanager
    def record(self) -> Iterator[CuptiRecording]:
        """Open a recording; see `harness.record.base.Recorder`.

        Raises:
            InputError: a recording is open already in this process.
            MissingPackageError: cupti-python or libcupti is missing, or too old.
            MissingDeviceError: there is no CUDA device, or it cannot be traced.
            RecorderBusyError: another profiler holds CUPTI.
        """
        if not _running.acquire(blocking=False):
            raise InputError(
                "a CUPTI recording is already open in this process",
                fix="leave it first; use regions to tell parts of one recording apart",
            )
        held = _running
        try:
            cupti, layouts = _prepare()
            _refuse_torch_profiler()
            session = Session(cupti, share=self._share, apis=self._apis, nvtx=self._nvtx)
            recording = CuptiRecording()
            self._calibrate()
            try:
                with session:
                    yield recording
            except BaseException as error:
                session.problems.append(f"the recorded block was left by {type(error).__name__}")
                raise
            else:
                if session.ended:  # not in a fork
                    self._note_residual(session)
            finally:
                if session.ended:
                    recording.finish(make_trace(session, cupti, layouts))
        finally:
            held.release()


def _not_measured(error: RuntimeError) -> str:
    return f"what tracing leaves behind was not measured: {repr(error).splitlines()[0]}"


def _refuse_torch_profiler() -> None:
    if torch_profiler_running():
        raise RecorderBusyError(
            "torch.profiler is running, and CUPTI gives its records to one of the two only",
            fix="record outside torch.profiler, or with --recorder kineto",
        )


def _prepare() -> tuple[binding.Cupti, Layouts]:
    import torch

    layouts = structs()
    if not torch.cuda.is_available():
        raise MissingDeviceError(
            "recording kernels needs an NVIDIA GPU, and torch finds none",
            fix="run on a machine with one, or use --recorder dispatch",
        )
    torch.cuda.init()
    cupti = library.load()
    version = cupti.version()
    if version < OLDEST:
        raise MissingPackageError(
            f"the mapped libcupti {cupti.path} has version {version}, older than CUDA 13.0",
            fix="pip install a torch built for CUDA 13 (the PyPI default since 2.11)",
        )
    found = make_layouts(layouts, documented_sizes(version) | cupti.record_sizes())
    build(decode([], found), Known(process=0))  # imports what decoding needs: not when timing ends
    return cupti, found
