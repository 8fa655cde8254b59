"""Records what a block of code launches, live, through CUPTI."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import InputError, MissingDeviceError, MissingPackageError
from harness.record.cupti import binding, library
from harness.record.cupti.columns import Tables, build
from harness.record.cupti.decode import Records, decode
from harness.record.cupti.layout import OLDEST, Kind, Layouts, documented_sizes, make_layouts
from harness.record.cupti.session import Session, pool
from harness.record.cupti.structs import structs
from harness.record.cupti.summary import summarise
from harness.trace import Trace, regions_table

_running = threading.Lock()


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
            raise RuntimeError("no Trace yet; leave the with block first")
        return self._trace

    def finish(self, trace: Trace) -> None:
        """Set the Trace."""
        self._trace = trace


class CuptiRecorder:
    """Records kernels, memcpys and memsets of this process, on every thread and stream.

    The device of the thread is synchronised on entering and on leaving. Not inside a CUDA graph
    capture: capture within the block instead.

    Args:
        share: record although another holds CUPTI's callback subscription, as an idle
            torch.profiler does that ran before in this process.
    """

    name = "cupti"

    def __init__(self, *, share: bool = False) -> None:
        self._share = share

    def available(self) -> tuple[bool, str]:
        """Whether cupti-python is installed and torch has a CUDA device."""
        if importlib.util.find_spec("cupti") is None:
            return False, "the package cupti-python is not installed"
        import torch

        if not torch.cuda.is_available():
            return False, "torch finds no CUDA device"
        return True, "cupti-python and a CUDA device are there"

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
        try:
            cupti, layouts = _prepare()
            session = Session(cupti, share=self._share)
            recording = CuptiRecording()
            try:
                with session:
                    yield recording
            except BaseException as error:
                session.problems.append(f"the recorded block was left by {type(error).__name__}")
                raise
            finally:
                if session.ended:
                    recording.finish(_trace_of(session, cupti, layouts))
        finally:
            _running.release()


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
    return cupti, make_layouts(layouts, documented_sizes(version) | cupti.record_sizes())


def _trace_of(session: Session, cupti: binding.Cupti, layouts: Layouts) -> Trace:
    began = time.perf_counter_ns()
    records = decode((one.records for one in session.filled), layouts)
    tables = _tables(records, session, cupti)
    taken = (time.perf_counter_ns() - began) / 1e3
    pool().recycle(session.filled)
    info = summarise(session, cupti, records, tables, taken)
    return Trace(tables.activities, info, regions_table(session.log.rows), tables.calls)


def _tables(records: Records, session: Session, cupti: binding.Cupti) -> Tables:
    return build(
        records,
        regions=[row["id"] for row in session.log.rows],
        own=session.marks,
        name_of=binding.name_at,
        api_names={
            Kind.RUNTIME: cupti.api_names(binding.RUNTIME_DOMAIN),
            Kind.DRIVER: cupti.api_names(binding.DRIVER_DOMAIN),
        },
        process=os.getpid(),
    )
