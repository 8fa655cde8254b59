"""The ATen calls of a forward, from torch's dispatcher: needs no GPU, also works at full size on
the meta device, where nothing is computed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from harness.record.dataflow import tensor_specs
from harness.record.environment import now, torch_versions
from harness.record.regions import RegionLog, open_regions
from harness.trace import Trace, TraceInfo, activities_table, regions_table
from harness.trace.schema import OUTSIDE

if TYPE_CHECKING:
    from torch.utils._python_dispatch import TorchDispatchMode


class DispatchRecording:
    """The ATen calls seen while the block ran."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._trace: Trace | None = None

    @property
    def trace(self) -> Trace:
        """One ``op`` row per ATen call, in call order.

        Raises:
            RuntimeError: the recording still runs.
        """
        if self._trace is None:
            raise RuntimeError("the recording still runs; leave the with block first")
        return self._trace

    def finish(self, regions: list[dict[str, Any]]) -> None:
        """Turn what was seen into a Trace."""
        info = TraceInfo(
            source="dispatch",
            created=now(),
            versions=torch_versions(),
            notes=(
                "ATen calls from the dispatcher; no kernels and no times; calls of other threads "
                "are not seen",
            ),
        )
        self._trace = Trace(activities_table(self.rows), info, regions_table(regions))


class DispatchRecorder:
    """Records ATen calls with shapes, dtypes and strides of the tensors in and out."""

    name = "dispatch"

    def available(self) -> tuple[bool, str]:
        """Always."""
        return True, "works on every device, the meta device included"

    def watch_captures(self) -> AbstractContextManager[None]:
        """Does nothing; see `harness.record.base.Recorder`."""
        return nullcontext()

    @contextmanager
    def record(self) -> Iterator[DispatchRecording]:
        """Open a recording; see `harness.record.base.Recorder`."""
        recording = DispatchRecording()
        with RegionLog() as log:
            with _mode(recording.rows):
                yield recording
            recording.finish(log.rows)


def _mode(rows: list[dict[str, Any]]) -> TorchDispatchMode:
    from torch.utils._python_dispatch import TorchDispatchMode

    process = os.getpid()

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            regions = open_regions()
            region = regions[-1].id if regions else OUTSIDE
            rows.append(
                {
                    "kind": "op",
                    "name": str(func.name()),
                    "process": process,
                    "region": region,
                    "launched_in": region,
                    "inputs": _tensors(args) + _tensors(kwargs or {}),
                    "outputs": _tensors(result),
                }
            )
            return result

    mode: TorchDispatchMode = Mode()  # type: ignore[no-untyped-call]
    return mode


def _tensors(value: Any) -> list[dict[str, Any]]:
    return [
        {"shape": spec.shape, "stride": spec.stride, "dtype": spec.dtype, "device": spec.device}
        for spec in tensor_specs(value, "").values()
    ]
