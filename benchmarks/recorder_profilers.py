"""torch.profiler and Proton, as their makers offer them, for `benchmarks.recorder`."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.recorder_peers import Seen


class TorchProfiler:
    """torch.profiler with CUDA activities only; usable means stopped, with ``events()`` made.

    ``stop_and_export_us`` is the other way: stopped, with ``export_chrome_trace`` written.
    """

    def prepare(self) -> dict[str, Any]:
        """Torch has it."""
        import torch

        return {"torch": torch.__version__}

    def start(self, records: int) -> None:
        """Open a profiler."""
        from torch.profiler import ProfilerActivity, profile

        self._profiler: Any = profile(activities=[ProfilerActivity.CUDA])
        self._profiler.start()

    def stop(self) -> None:
        """Stop it and make its events."""
        began = time.perf_counter_ns()
        self._profiler.stop()
        self._stop_us = (time.perf_counter_ns() - began) / 1e3
        self._events: Any = self._profiler.events()

    def seen(self) -> Seen:
        """Counts of its events; and exports, which has its own figure."""
        from torch.autograd import DeviceType

        on_device = sum(event.device_type == DeviceType.CUDA for event in self._events)
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter_ns()
            self._profiler.export_chrome_trace(str(Path(folder) / "trace.json"))
            export_us = (time.perf_counter_ns() - began) / 1e3
        values = {"stop_us": self._stop_us, "stop_and_export_us": self._stop_us + export_us}
        return Seen(records=len(self._events), activities=on_device, values=values)

    def release(self) -> None:
        """Drop the profiler."""
        self._profiler = self._events = None


class Proton:
    """triton.profiler; usable means finalised, with its hatchet file read. It adds kernels up."""

    def prepare(self) -> dict[str, Any]:
        """Import it, which maps a libcupti of its own."""
        import triton.profiler as proton

        self._proton: Any = proton
        self._folder = tempfile.TemporaryDirectory()
        self._number = 0
        return {"triton": importlib.metadata.version("triton")}

    def start(self, records: int) -> None:
        """Start a session with a new file, and a scope."""
        self._number += 1
        self._path = Path(self._folder.name) / f"session{self._number}"
        self._proton.start(str(self._path))
        self._scope = self._proton.scope("stream")
        self._scope.__enter__()

    def stop(self) -> None:
        """Leave the scope, write the file, read it."""
        self._scope.__exit__(None, None, None)
        self._proton.finalize()
        self._tree: Any = json.loads(self._path.with_suffix(".hatchet").read_text())

    def seen(self) -> Seen:
        """Launches by the counts in the tree."""
        size = self._path.with_suffix(".hatchet").stat().st_size
        return Seen(activities=_count(self._tree), values={"file_bytes": float(size)})

    def release(self) -> None:
        """Drop what was read."""
        self._tree = None


def _count(node: Any) -> int:
    """Launches below a node of a hatchet tree, or in a list of such nodes."""
    if isinstance(node, list):
        return sum(_count(child) for child in node)
    if not isinstance(node, dict):
        return 0
    own = int(node.get("metrics", {}).get("count", 0))
    return own + _count(node.get("children", []))
