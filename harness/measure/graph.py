"""Capture one forward of a side as a CUDA graph, and leave CUDA usable when that fails."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Any

from harness.errors import EXIT_UNDECIDED, HarnessError
from harness.measure.model import GraphTopology
from harness.measure.topology import read_topology

if TYPE_CHECKING:
    import torch

    from ops.sides import Side

WARMUP_CALLS = 3
"""Eager calls before capture: the first loads modules and tunes, the second may still allocate."""

CAPTURE_MODE = "thread_local"
"""Unsafe CUDA calls of other threads (a data loader, a poller) do not end the capture."""

_idle_streams: list[torch.cuda.Stream] = []
"""Streams that no open graph was captured on. cuBLAS keeps a workspace (32 MiB on sm_90) per
stream, and torch frees it with a graph that was captured there: so two graphs that are open
together must not share a stream, and a stream per capture would pile workspaces up."""


class CaptureError(HarnessError):
    """A call cannot be captured as a CUDA graph (exit code 3 where nobody handles it).

    Args:
        label: the side.
        reason: why, in one line.
    """

    exit_code = EXIT_UNDECIDED

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(
            f"{label} cannot be captured as a CUDA graph: {reason}",
            fix="time it eagerly, or remove what waits for the device or allocates without torch",
        )
        self.reason = reason


class CapturedGraph:
    """An instantiated CUDA graph.

    Attributes:
        topology: its nodes and edges, or None with ``topology_problem`` saying why.
        output: what the last captured call returned; its tensors are filled by every replay.
    """

    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        stream: torch.cuda.Stream,
        output: Any,
        side: Side,
        read: bool = True,
    ) -> None:
        self._graph: torch.cuda.CUDAGraph | None = graph
        self._side: Side | None = side  # weights and inputs that replays read must stay alive
        self._stream = stream
        self.output = output
        self.topology: GraphTopology | None = None
        self.topology_problem = "not read"
        if read:
            self.topology, self.topology_problem = read_topology(graph.raw_cuda_graph())
        graph.instantiate()

    def replay(self) -> None:
        """Launch the graph on the current stream. Raises RuntimeError after ``close``."""
        if self._graph is None:
            raise RuntimeError("the graph is closed")
        self._graph.replay()

    def close(self) -> None:
        """Free the graph and its memory, which can be many GiB of scratch. May be repeated."""
        import torch

        if self._graph is None:
            return
        torch.cuda.synchronize()  # a replay may still use that memory
        self.output = None
        self._side = None
        self._graph.reset()
        self._graph = None
        _idle_streams.append(self._stream)
        torch.cuda.empty_cache()


def capture(
    side: Side, *, warmups: int = WARMUP_CALLS, calls: int = 1, topology: bool = True
) -> CapturedGraph:
    """Warm a side up on a stream of its own and capture it there, on the current device.

    Args:
        side: its ``reset``, which launches nothing, runs before each call, captured or not.
        warmups: eager calls before.
        calls: calls in the graph, one after the other.
        topology: False leaves nodes and edges unread, which takes microseconds for each.

    Raises:
        CaptureError: the call cannot be captured. CUDA is usable afterwards.
        Exception: what an eager warm-up call raised.
    """

    if side.no_graph_because:
        raise CaptureError(side.label, side.no_graph_because)
    stream = _take_stream()
    try:
        _warm_up(side, stream, warmups)
        return _capture_on(stream, side, calls, topology)
    except BaseException:
        _idle_streams.append(stream)
        raise


def _take_stream() -> torch.cuda.Stream:
    import torch

    here = torch.cuda.current_device()
    for at, stream in enumerate(_idle_streams):
        if stream.device_index == here:
            return _idle_streams.pop(at)
    return torch.cuda.Stream()


def _capture_on(stream: torch.cuda.Stream, side: Side, calls: int, topology: bool) -> CapturedGraph:
    import torch

    torch.cuda.synchronize()
    torch.cuda.empty_cache()  # a graph has its own pool and cannot use what is cached here
    graph = torch.cuda.CUDAGraph(keep_graph=True)
    output, problem = _record(side, graph, stream, calls)
    torch.cuda.synchronize()
    if not problem:
        try:
            return CapturedGraph(graph, stream, output, side, topology)
        except RuntimeError as error:
            problem = f"not instantiated: {_one_line(error)}"
    output = None
    graph.reset()
    gc.collect()  # frames of the failed call, in a cycle with its error, may hold its tensors
    torch.cuda.empty_cache()
    raise CaptureError(side.label, problem)


def _warm_up(side: Side, stream: torch.cuda.Stream, calls: int) -> None:
    import torch

    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(calls):
            side.reset()
            with side.context():
                side.call()
    torch.cuda.current_stream().wait_stream(stream)
    side.reset()


def _record(
    side: Side, graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream, calls: int
) -> tuple[Any, str]:
    """Capture; return the output and why it failed (empty when it did not).

    ``torch.cuda.graph`` is not used: it leaves its own stream current when ending fails.
    Failures come back as text because a traceback would keep the call's tensors alive.
    """
    import torch

    output, problem = None, ""
    pool = torch.cuda.graph_pool_handle()
    with torch.cuda.stream(stream), side.context():
        _begin(graph, pool)
        try:
            for at in range(calls):
                if at:  # so that every call of the graph starts from the same state
                    side.reset()
                output = side.call()
        except Exception as error:  # noqa: BLE001  whatever a call raises, it is not capturable
            problem = _one_line(error)
        finally:
            ended = _end(graph, pool)
    return output, problem or ended


def _begin(graph: torch.cuda.CUDAGraph, pool: Any) -> None:
    import torch

    # The first capture allocates the state of the random generator. As inference tensors it could
    # not be filled by a replay or a capture outside of inference mode.
    with torch.inference_mode(False):
        graph.capture_begin(pool=pool, capture_error_mode=CAPTURE_MODE)


def _end(graph: torch.cuda.CUDAGraph, pool: Any) -> str:
    try:
        graph.capture_end()
    except RuntimeError as error:
        _abandon(pool)
        return _one_line(error)
    return ""


def _abandon(pool: Any) -> None:
    """Undo what a capture that CUDA has invalidated leaves behind in torch.

    ``CUDAGraph.capture_end`` raises before it ends allocation to the graph's pool and before it
    takes the random generator out of capture mode (ATen/cuda/CUDAGraph.cpp of torch 2.11). Then
    ``empty_cache`` and every later capture fail on an internal assertion, and random numbers on
    "Offset increment outside graph capture".
    """
    import torch

    device = torch.cuda.current_device()
    # RuntimeError: a torch that has ended it already
    with contextlib.suppress(RuntimeError):
        torch._C._cuda_endAllocateToPool(device, pool)
        torch._C._cuda_releasePool(device, pool)
    scratch = torch.zeros(1, device="cuda")
    healthy = torch.cuda.CUDAGraph()  # ending it well takes the generator out of capture mode
    _begin(healthy, torch.cuda.graph_pool_handle())
    scratch.add_(1)
    healthy.capture_end()
    healthy.reset()


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
