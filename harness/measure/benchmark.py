"""``benchmark_with_power``: the collectors' context manager, with samples, graphs and energy."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.measure.benchmark_result import make_result
from harness.measure.conditions import Reading, read_card
from harness.measure.energy import measure_energy
from harness.measure.graph import CapturedGraph, CaptureError, capture
from harness.measure.hooks import BenchmarkCall, announce
from harness.measure.plan import Plan, find_device, make_plan
from harness.measure.runs import RunTimes, time_cuda_runs, time_host_runs
from harness.record.regions import region
from harness.record.state import has_traced

if TYPE_CHECKING:
    import torch

STACK = 3
"""Frames from a warning to the ``with`` statement: this file, contextlib, the caller."""

ON_CPU = "timed on the CPU with the host's clock: no CUDA graph, no power"
TRACED = "timed after this process had traced: launches and replays are slower than in a new one"


class CaptureFailedError(CaptureError, RuntimeError):
    """A capture failed though every call returned; a RuntimeError too, as torch's own is."""


@contextmanager
def benchmark_with_power(
    device: torch.device | str | int,
    kernel_func: Callable[[], Any],
    num_warmups: int = 3,
    num_runs: int = 6,
    repeat_n: int = 1,
    measure_power: bool | None = None,
    power_min_duration: float | None = None,
    allow_graph_fail: bool = False,
    use_cuda_graph: bool = True,
) -> Iterator[dict[str, Any]]:
    """Time ``kernel_func``; everything is measured, and freed, before the body starts.

    Signature and the first five keys are those of collector/helper.py in aiconfigurator.

    Args:
        device: torch device, its name or its index. On the CPU there is no graph and no power.
        kernel_func: launches the work; called again and again.
        num_warmups: eager calls before capture, and again runs before timing.
        num_runs: runs that are timed; as many again give the samples of a CUDA device.
        repeat_n: calls in one graph, and so in one run.
        measure_power: None reads COLLECTOR_MEASURE_POWER (true, 1 or yes).
        power_min_duration: seconds; None reads COLLECTOR_POWER_MIN_DURATION, else 1.0.
        allow_graph_fail: time eagerly, with a warning, what cannot be captured.
        use_cuda_graph: False times eagerly.

    Yields:
        ``latency_ms``: mean milliseconds per call, gaps between runs included; with power the mean
        over the runs of the power window. ``power_stats``: ``power`` and ``power_limit`` in W, or
        None. ``throttled``: whether the card reported throttling before or after.
        ``num_runs_executed``: the runs of that mean. ``used_cuda_graph``. Beyond the collectors':
        ``samples_ms`` (each run by itself, per call), their ``median_ms`` and ``ci95_ms`` (95 %
        interval of the median; None of fewer than six), ``energy_j`` per call and ``energy`` (how
        it was read), or None, ``conditions`` (the card before and after), ``notes``, and inside an
        `align_op` block ``kernels``, once this call has been compared: what the graph, or one call,
        launches, as in the evidence.

    Raises:
        Exception: what ``kernel_func`` raised, in a capture too unless ``allow_graph_fail``.
        CaptureFailedError: the capture failed without that, and ``allow_graph_fail`` is False.
        InputError: an argument or environment variable is wrong.
        MissingDeviceError: ``device`` is a CUDA device and there is none.
    """
    target = find_device(device)
    plan = make_plan(
        num_warmups=num_warmups,
        num_runs=num_runs,
        repeat_n=repeat_n,
        measure_power=measure_power,
        power_min_duration=power_min_duration,
        allow_graph_fail=allow_graph_fail,
        use_cuda_graph=use_cuda_graph,
    )
    measure = _on_cuda if target.type == "cuda" else _on_cpu
    result = measure(target, kernel_func, plan)
    for note in result["notes"]:
        warnings.warn(note, RuntimeWarning, stacklevel=STACK)
    announce(BenchmarkCall(kernel_func, target, asdict(plan), result))
    yield result


def _on_cuda(target: torch.device, kernel_func: Callable[[], Any], plan: Plan) -> dict[str, Any]:
    import torch

    energy: dict[str, Any] | None = None
    notes = [TRACED] if has_traced() else []
    with torch.cuda.device(target):
        before = read_card(target)
        graph, problem = _warm_graph(kernel_func, plan)
        notes += [f"timed eagerly: {problem}"] if problem else []
        try:
            run = graph.replay if graph else _repeated(kernel_func, plan.repeat_n)
            times = _time(run, plan)
            if plan.measure_power:
                energy, missing = measure_energy(
                    run, target, min_duration_s=plan.power_min_duration
                )
                notes += [f"power is not measured: {missing}"] if missing else []
                notes += energy["notes"] if energy else []
        finally:
            if graph:
                graph.close()
            torch.cuda.empty_cache()
        after = read_card(target)
    return make_result(times, plan, energy, (before, after), notes, graph is not None)


def _on_cpu(_: torch.device, kernel_func: Callable[[], Any], plan: Plan) -> dict[str, Any]:
    _repeated(kernel_func, plan.num_warmups)()
    with region("benchmark"):
        times = time_host_runs(_repeated(kernel_func, plan.repeat_n), plan.num_runs)
    nothing: Reading = ({}, "not a CUDA device")
    return make_result(times, plan, None, (nothing, nothing), [ON_CPU], False)


def _warm_graph(kernel_func: Callable[[], Any], plan: Plan) -> tuple[CapturedGraph | None, str]:
    """Warm up eagerly and capture; None and why where that failed and may fail."""
    from ops.sides import Side

    if not plan.use_cuda_graph:
        _repeated(kernel_func, plan.num_warmups)()
        return None, ""
    noting = _Noting(kernel_func)
    try:
        side = Side("the benchmark", call=noting)
        warmups, calls = plan.num_warmups, plan.repeat_n
        return capture(side, warmups=warmups, calls=calls, topology=False), ""
    except CaptureError as error:
        if plan.allow_graph_fail:
            return None, str(error)
        if noting.error is not None:
            raise noting.error from error
        raise CaptureFailedError("the benchmark", error.reason) from error


class _Noting:
    """Calls, and keeps what the call raised: a capture only tells it as text."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self.error: Exception | None = None

    def __call__(self) -> Any:
        try:
            return self._call()
        except Exception as error:
            # The frames' tensors lie in the pool of the graph, which is about to be freed.
            traceback.clear_frames(error.__traceback__)
            self.error = error
            raise


def _repeated(call: Callable[[], Any], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            call()

    return run


def _time(run: Callable[[], Any], plan: Plan) -> RunTimes:
    """Warm up what is timed, then time it."""
    import torch

    for _ in range(plan.num_warmups):
        run()
    torch.cuda.synchronize()
    with region("benchmark"):
        return time_cuda_runs(run, plan.num_runs)
